// Backward: the gradients of image, place and fill.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "forward.h"

namespace attn {

// d loss / d pixel position = sum_c g_c times the slope of the interpolated image.
template <class T, int channels>
void SlopesFew(const Chunk<T>& chunk, int n, const T* __restrict image, const T* fill,
               const T* __restrict g, T* __restrict dx, T* __restrict dy) {
  const T *__restrict x = chunk.x.part, *__restrict y = chunk.y.part;
  const T *__restrict slope_x = chunk.x.slope, *__restrict slope_y = chunk.y.slope;
  const int32_t *__restrict p0 = chunk.pixel[0], *__restrict p1 = chunk.pixel[1];
  const int32_t *__restrict p2 = chunk.pixel[2], *__restrict p3 = chunk.pixel[3];
  T outside[channels];
  for (int c = 0; c < channels; ++c) outside[c] = fill[c];
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    T sum_x = 0, sum_y = 0;
    for (int c = 0; c < channels; ++c) {
      const T v0 = Value<T, channels>(image, p0[i], c, outside[c]);
      const T v1 = Value<T, channels>(image, p1[i], c, outside[c]);
      const T v2 = Value<T, channels>(image, p2[i], c, outside[c]);
      const T v3 = Value<T, channels>(image, p3[i], c, outside[c]);
      sum_x += g[i * channels + c] * ((1 - y[i]) * (v1 - v0) + y[i] * (v3 - v2));
      sum_y += g[i * channels + c] * ((1 - x[i]) * (v2 - v0) + x[i] * (v3 - v1));
    }
    dx[i] = slope_x[i] * sum_x;
    dy[i] = slope_y[i] * sum_y;
  }
}

template <bool select, class T>
void SlopesMany(const Chunk<T>& chunk, int n, int channels, const T* __restrict image,
                const T* fill, const T* __restrict g, T* __restrict dx, T* __restrict dy) {
  for (int i = 0; i < n; ++i, g += channels) {
    const Corners<T> corners(chunk, i, image, fill, channels);
    const T* const* v = corners.value;
    const T x = chunk.x.part[i], y = chunk.y.part[i];
    T sum_x = 0, sum_y = 0;
#pragma omp simd reduction(+ : sum_x, sum_y)
    for (int c = 0; c < channels; ++c) {
      sum_x += g[c] * (Part<select>(1 - y, v[1][c] - v[0][c]) + Part<select>(y, v[3][c] - v[2][c]));
      sum_y += g[c] * (Part<select>(1 - x, v[2][c] - v[0][c]) + Part<select>(x, v[3][c] - v[1][c]));
    }
    dx[i] = Part<select>(chunk.x.slope[i], sum_x);
    dy[i] = Part<select>(chunk.y.slope[i], sum_y);
  }
}

template <class T, int channels>
void Slopes(const Chunk<T>& chunk, int n, int count, const T* image, const T* fill, const T* g,
            T* dx, T* dy) {
  if constexpr (Few(channels)) {
    SlopesFew<T, channels>(chunk, n, image, fill, g, dx, dy);
  } else {
    SlopesMany<false>(chunk, n, channels ? channels : count, image, fill, g, dx, dy);
  }
  if (AnyNaN(dx, n) || AnyNaN(dy, n)) SlopesMany<true>(chunk, n, count, image, fill, g, dx, dy);
}

// d loss / d image, and of what lies outside: both are added to.
template <class T, int channels>
void Scatter(const Chunk<T>& chunk, int n, int count, const T* __restrict g, T* dimage,
             T* outside) {
  count = channels ? channels : count;
  for (int i = 0; i < n; ++i, g += count) {
    for (int k = 0; k < 4; ++k) {  // one after the other: corners may coincide
      const int32_t pixel = chunk.pixel[k][i];
      T* __restrict d = pixel < 0 ? outside : dimage + int64_t{pixel} * count;
      const T weight = chunk.weight[k][i];
#pragma omp simd
      for (int c = 0; c < count; ++c) d[c] += weight * g[c];
    }
  }
}

// The second of these alone.
template <class T>
void ScatterOutside(const Chunk<T>& chunk, int n, int count, const T* g, T* outside) {
  for (int i = 0; i < n; ++i, g += count) {
    for (int k = 0; k < 4; ++k) {
      if (chunk.pixel[k][i] >= 0) continue;
      for (int c = 0; c < count; ++c) outside[c] += chunk.weight[k][i] * g[c];
    }
  }
}

// theta's gradient: the grid's, times (x, y, 1), summed.
template <class T>
void AddTheta(const Shape& shape, Where<T> where, int64_t begin, int n, const T* dx, const T* dy,
              double* sums) {
  int64_t row = begin / shape.columns, column = begin % shape.columns;
  for (int i = 0; i < n; ++row, column = 0) {
    const int count = static_cast<int>(std::min<int64_t>(n - i, shape.columns - column));
    const T* __restrict xi = where.columns + column;
    T along[2] = {0, 0}, total[2] = {0, 0};
    for (int axis = 0; axis < 2; ++axis) {
      const T* __restrict d = (axis ? dy : dx) + i;
      T moment = 0, sum = 0;
#pragma omp simd reduction(+ : moment, sum)
      for (int k = 0; k < count; ++k) moment += d[k] * xi[k], sum += d[k];
      along[axis] = moment, total[axis] = sum;
    }
    for (int axis = 0; axis < 2; ++axis) {
      sums[3 * axis] += along[axis];
      sums[3 * axis + 1] += double{total[axis]} * where.rows[row];
      sums[3 * axis + 2] += total[axis];
    }
    i += count;
  }
}

// Where the gradients of a call go; null where one is not wanted. Examples may share an image:
// they add to one gradient of it.
template <class T>
struct Wanted {
  Examples<T> image;
  T *where, *fill;
};

// One example's part in the gradients of image and fill, of where, or of all.
template <class T, int channels>
void BackwardOne(const Shape& shape, const T* image, Where<T> where, const T* fill, const T* g,
                 T* dimage, T* dwhere, T* dfill) {
  std::vector<T> outside(shape.channels);
  double theta[6] = {0, 0, 0, 0, 0, 0};
  Chunk<T> chunk;
  T dx[kChunk], dy[kChunk];
  for (int64_t begin = 0; begin < shape.points; begin += kChunk) {
    const int n = static_cast<int>(std::min<int64_t>(kChunk, shape.points - begin));
    Locate(shape, where, begin, n, chunk);
    const T* chunk_g = g + begin * shape.channels;
    if (dimage || dfill) FindWeights(chunk, n);
    if (dimage) {
      Scatter<T, channels>(chunk, n, shape.channels, chunk_g, dimage, outside.data());
    } else if (dfill) {
      ScatterOutside(chunk, n, shape.channels, chunk_g, outside.data());
    }
    if (!dwhere) continue;
    Slopes<T, channels>(chunk, n, shape.channels, image, fill, chunk_g, dx, dy);
    if (shape.columns) {
      AddTheta(shape, where, begin, n, dx, dy, theta);
    } else {
      T* __restrict grid = dwhere + 2 * begin;
      for (int i = 0; i < n; ++i) grid[2 * i] = dx[i], grid[2 * i + 1] = dy[i];
    }
  }
  if (dwhere && shape.columns) std::copy_n(theta, 6, dwhere);
  if (dfill) std::copy_n(outside.data(), shape.channels, dfill);
}

template <class T, int channels, class Pool>
void Backward(Pool& pool, const Shape& shape, const Examples<T>& image,
              const Examples<T>& where, const Examples<T>& fill, const Examples<T>& g,
              const T* columns, const T* rows, const Wanted<T>& out) {
  if (shape.batch == 0) {  // a gradient that examples would share is there all the same
    if (out.image.data) std::fill_n(out.image.data, out.image.count, T(0));
    return;
  }
  const int64_t pixels = int64_t{shape.height} * shape.width * shape.channels;
  const int64_t item = shape.columns ? 6 : 2 * shape.points;
  const bool worth = shape.batch * shape.points * shape.channels > kSmall / 4;
  const auto one = [&](int64_t b, bool of_image, bool of_where) {
    BackwardOne<T, channels>(shape, image[b], Where<T>{where[b], columns, rows}, fill[b], g[b],
                             of_image ? out.image[b] : nullptr,
                             of_where && out.where ? out.where + b * item : nullptr,
                             of_image && out.fill ? out.fill + b * shape.channels : nullptr);
  };
  // The examples of each image, which are added in their order.
  std::vector<std::vector<int64_t>> groups(shape.batch);
  for (int64_t b = 0; b < shape.batch; ++b) {
    groups[out.image.data ? out.image.offsets[b] / pixels : b].push_back(b);
  }
  while (!groups.empty() && groups.back().empty()) groups.pop_back();
  const int64_t count = groups.size();
  const bool alone = count == shape.batch;
  if (!alone && out.where) {
    Parallel(pool, shape.batch, worth, [&](int64_t b) { one(b, false, true); });
  }
  Parallel(pool, count, worth, [&](int64_t i) {
    if (out.image.data) std::fill_n(out.image[groups[i][0]], pixels, T(0));
    for (int64_t b : groups[i]) one(b, true, alone);
  });
}

}  // namespace attn
