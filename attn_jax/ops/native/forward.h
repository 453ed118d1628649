// Forward. `channels` as a template argument is 0 where it is known only at run time.

#pragma once

#include <algorithm>
#include <cstdint>

#include "shapes.h"
#include "threads.h"

namespace attn {

// Up to three channels the points are the vector, from four on the channels are.
constexpr bool Few(int channels) { return channels && channels < 4; }

template <class T, int channels>
inline T Value(const T* __restrict image, int32_t pixel, int channel, T fill) {
  const T value = image[(pixel < 0 ? 0 : pixel) * channels + channel];
  return pixel < 0 ? fill : value;
}

// One point's four corners.
template <class T>
struct Corners {
  const T* value[4];
  Corners(const Chunk<T>& chunk, int i, const T* image, const T* fill, int channels) {
    for (int k = 0; k < 4; ++k) {
      const int32_t pixel = chunk.pixel[k][i];
      value[k] = pixel < 0 ? fill : image + int64_t{pixel} * channels;
    }
  }
};

template <class T, int channels>
void GatherFew(const Chunk<T>& chunk, int n, const T* __restrict image, const T* fill,
               T* __restrict out) {
  const T *__restrict x = chunk.x.part, *__restrict y = chunk.y.part;
  const int32_t *__restrict p0 = chunk.pixel[0], *__restrict p1 = chunk.pixel[1];
  const int32_t *__restrict p2 = chunk.pixel[2], *__restrict p3 = chunk.pixel[3];
  T outside[channels];
  for (int c = 0; c < channels; ++c) outside[c] = fill[c];
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    for (int c = 0; c < channels; ++c) {
      const T v0 = Value<T, channels>(image, p0[i], c, outside[c]);
      const T v1 = Value<T, channels>(image, p1[i], c, outside[c]);
      const T v2 = Value<T, channels>(image, p2[i], c, outside[c]);
      const T v3 = Value<T, channels>(image, p3[i], c, outside[c]);
      const T top = (1 - x[i]) * v0 + x[i] * v1, bottom = (1 - x[i]) * v2 + x[i] * v3;
      out[i * channels + c] = (1 - y[i]) * top + y[i] * bottom;
    }
  }
}

template <bool select, class T>
void GatherMany(const Chunk<T>& chunk, int n, int channels, const T* __restrict image,
                const T* fill, T* __restrict out) {
  for (int i = 0; i < n; ++i, out += channels) {
    const Corners<T> corners(chunk, i, image, fill, channels);
    const T* const* v = corners.value;
    const T x = chunk.x.part[i], y = chunk.y.part[i];
#pragma omp simd
    for (int c = 0; c < channels; ++c) {
      const T top = Part<select>(1 - x, v[0][c]) + Part<select>(x, v[1][c]);
      const T bottom = Part<select>(1 - x, v[2][c]) + Part<select>(x, v[3][c]);
      out[c] = Part<select>(1 - y, top) + Part<select>(y, bottom);
    }
  }
}

template <class T, int channels>
void Gather(const Chunk<T>& chunk, int n, int count, const T* image, const T* fill, T* out) {
  if constexpr (Few(channels)) {
    GatherFew<T, channels>(chunk, n, image, fill, out);
  } else {
    GatherMany<false>(chunk, n, channels ? channels : count, image, fill, out);
  }
  if (AnyNaN(out, int64_t{n} * count)) GatherMany<true>(chunk, n, count, image, fill, out);
}

template <class T, int channels, class Pool>
void Forward(Pool& pool, const Shape& shape, const Examples<T>& image,
             const Examples<T>& where, const Examples<T>& fill, const T* columns, const T* rows,
             T* out) {
  const int64_t chunks = (shape.points + kChunk - 1) / kChunk;
  const int64_t values = shape.points * shape.channels;
  // A task is one example, or a part of a large one.
  const int64_t parts = std::min(chunks, std::max<int64_t>(1, 4 * values / kSmall));
  Parallel(pool, shape.batch * parts, shape.batch * values > kSmall, [&](int64_t task) {
    const int64_t b = task / parts, part = task % parts;
    Chunk<T> chunk;
    for (int64_t k = chunks * part / parts; k < chunks * (part + 1) / parts; ++k) {
      const int64_t begin = k * kChunk;
      const int n = static_cast<int>(std::min<int64_t>(kChunk, shape.points - begin));
      Locate(shape, Where<T>{where[b], columns, rows}, begin, n, chunk);
      T* place = out + (b * shape.points + begin) * shape.channels;
      Gather<T, channels>(chunk, n, shape.channels, image[b], fill[b], place);
    }
  });
}

}  // namespace attn
