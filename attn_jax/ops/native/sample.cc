// Bilinear sampling of images [*batch, H, W, C] on the CPU, and its gradients.
//
// Points are taken in chunks: the coordinates, pixel indices and weights of a chunk are computed
// in plain loops that the compiler vectorises, then pixels are gathered (or scattered to).
// Every result is computed in one fixed order, whatever the number of threads.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

constexpr int kChunk = 256;       // points at a time: what they need stays in the first cache
constexpr int64_t kSmall = 8192;  // values below which waking a second thread costs more

enum Padding : int64_t { kConstant, kBorder, kReflection, kWrap };

// Threads.

// Calls body(0) ... body(count - 1). The caller works too and waits only for tasks that are
// running, so a pool whose threads are all busy or blocked cannot hold it up.
template <class Body>
void Parallel(ffi::ThreadPool& pool, int64_t count, bool worth, const Body& body) {
  const int64_t helpers = worth ? std::min(pool.num_threads(), count) - 1 : 0;
  if (helpers <= 0) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
  struct Progress {
    std::atomic<int64_t> next{0}, done{0};
  };
  auto progress = std::make_shared<Progress>();  // a late helper may outlive this call
  auto work = [progress, count, &body] {
    for (int64_t i; (i = progress->next.fetch_add(1)) < count;) {
      body(i);
      progress->done.fetch_add(1, std::memory_order_release);
    }
  };
  for (int64_t h = 0; h < helpers; ++h) pool.Schedule([work] { work(); });
  work();
  while (progress->done.load(std::memory_order_acquire) < count) std::this_thread::yield();
}

// Places: from coordinates in [-1, 1] to pixels.

template <class T>
struct Axis {
  int32_t low[kChunk], high[kChunk];  // the two neighbouring pixels; -1 outside
  T part[kChunk];                     // how far from low to high
  T slope[kChunk];                    // d pixel / d coordinate; 0 where it was held
};

// A coordinate so large that a quotient of it would lose whole pixels, folded exactly, once.
template <class T>
void FoldHuge(T* x, int n, T start, T period) {
  constexpr T kLimit = 1 << 16;
  T most = 0;
#pragma omp simd reduction(max : most)
  for (int i = 0; i < n; ++i) most = std::abs(x[i]) > most ? std::abs(x[i]) : most;
  if (most <= kLimit) return;
  for (int i = 0; i < n; ++i) {
    if (std::abs(x[i]) > kLimit) x[i] = std::fmod(x[i] - start, period) + start;
  }
}

template <class T, Padding padding>
void LocateAxis(const T* __restrict g, int n, int32_t size, bool align, Axis<T>& axis) {
  constexpr bool endless = padding == kReflection || padding == kWrap;
  const T extent = align ? size - 1 : size, edge = align ? 0 : 1, last = size - 1;
  const T start = align ? 0 : T(-0.5), unit = extent / 2;
  const T span = extent > 0 ? extent : 1, period = padding == kWrap ? T(size) : 2 * span;
  T *__restrict part = axis.part, *__restrict slope = axis.slope;
  int32_t *__restrict lows = axis.low, *__restrict highs = axis.high;
  for (int i = 0; i < n; ++i) {
    // NaN reads as -1; so does what is not finite where there is no edge to hold it at.
    const T x = (g[i] + 1) * extent / 2 - edge / 2;
    const bool held = endless ? !(x - x == 0) : g[i] != g[i];
    part[i] = held ? -edge / 2 : x;
    slope[i] = held ? 0 : unit;
  }
  if (endless) FoldHuge(part, n, padding == kWrap ? T(0) : start, period);
#pragma omp simd
  for (int i = 0; i < n; ++i) {
    T x = part[i], d = slope[i];
    if (padding == kReflection) {  // about start and start + span, as often as it takes
      const T from = x - start, distance = std::abs(from);
      const T rest = distance - std::floor(distance / period) * period;
      d = from < 0 ? -d : d;
      d = rest > span ? -d : d;
      x = span - std::abs(rest - span) + start;
    }
    if (padding != kWrap) {
      const T least = padding == kConstant ? -2 : 0;
      const T most = padding == kConstant ? last + 2 : last;
      x = x > least ? x : least;  // also NaN, an infinity times 0
      x = x < most ? x : most;
      d = x > least ? d : 0;
      d = x < most ? d : 0;
    }
    T floor = std::floor(x);
    part[i] = x - floor, slope[i] = d;
    if (padding == kWrap) {
      floor -= std::floor(floor / size) * size;
      floor = floor < 0 ? floor + size : floor;
      floor = floor > 0 ? (floor < last ? floor : last) : 0;
    }
    const int32_t low = static_cast<int32_t>(floor), high = low + 1;
    // As unsigned numbers the negative ones are large.
    const uint32_t count = size;
    if (padding == kConstant) {
      lows[i] = static_cast<uint32_t>(low) < count ? low : -1;
      highs[i] = static_cast<uint32_t>(high) < count ? high : -1;
    } else {
      lows[i] = low;
      highs[i] = high < size ? high : (padding == kWrap ? 0 : low);
    }
  }
}

template <class T>
void LocateAxis(Padding padding, const T* g, int n, int32_t size, bool align, Axis<T>& axis) {
  switch (padding) {
    case kConstant: return LocateAxis<T, kConstant>(g, n, size, align, axis);
    case kBorder: return LocateAxis<T, kBorder>(g, n, size, align, axis);
    case kReflection: return LocateAxis<T, kReflection>(g, n, size, align, axis);
    case kWrap: return LocateAxis<T, kWrap>(g, n, size, align, axis);
  }
}

// Corners are in reading order: top left, top right, bottom left, bottom right.
template <class T>
struct Chunk {
  T gx[kChunk], gy[kChunk];
  Axis<T> x, y;
  int32_t pixel[4][kChunk];  // row * W + column of each corner; -1 outside
  T weight[4][kChunk];
};

template <class T>
void FindCorners(Chunk<T>& chunk, int n, int32_t width) {
  for (int corner = 0; corner < 4; ++corner) {
    const int32_t* __restrict column = corner & 1 ? chunk.x.high : chunk.x.low;
    const int32_t* __restrict row = corner & 2 ? chunk.y.high : chunk.y.low;
    int32_t* __restrict pixel = chunk.pixel[corner];
    for (int i = 0; i < n; ++i) {
      pixel[i] = (row[i] | column[i]) < 0 ? -1 : row[i] * width + column[i];
    }
  }
}

template <class T>
void FindWeights(Chunk<T>& chunk, int n) {
  const T *__restrict x = chunk.x.part, *__restrict y = chunk.y.part;
  for (int corner = 0; corner < 4; ++corner) {
    T* __restrict weight = chunk.weight[corner];
    for (int i = 0; i < n; ++i) {
      weight[i] = (corner & 1 ? x[i] : 1 - x[i]) * (corner & 2 ? y[i] : 1 - y[i]);
    }
  }
}

// The arguments of a call.

struct Shape {
  int64_t batch = 1, points = 1;
  int32_t height = 0, width = 0, channels = 0;
  int64_t columns = 0;  // of an affine grid; else 0
  Padding padding = kConstant;
  bool align = false;
};

// One argument of many examples; along a batch axis of length 1 the same for all.
template <class T>
struct Examples {
  T* data = nullptr;
  std::vector<int64_t> offsets;
  T* operator[](int64_t b) const { return data ? data + offsets[b] : nullptr; }
};

template <class T>
Examples<T> MakeExamples(ffi::AnyBuffer x, const std::vector<int64_t>& batch) {
  const auto dims = x.dimensions();
  int64_t item = 1, total = 1;
  for (size_t d = batch.size(); d < dims.size(); ++d) item *= dims[d];
  for (int64_t d : batch) total *= d;
  Examples<T> examples{item ? static_cast<T*>(x.untyped_data()) : nullptr,
                       std::vector<int64_t>(total)};
  for (int64_t b = 0; b < total; ++b) {
    int64_t rest = b, stride = item, offset = 0;
    for (size_t d = batch.size(); d-- > 0;) {
      offset += dims[d] == 1 ? 0 : rest % batch[d] * stride;
      rest /= batch[d];
      stride *= dims[d];
    }
    examples.offsets[b] = offset;
  }
  return examples;
}

// Where to read: a grid [N, 2], or theta [2, 3] with the coordinates of columns and rows.
template <class T>
struct Where {
  const T *data, *columns, *rows;
};

template <class T>
void Coordinates(const Shape& shape, Where<T> where, int64_t begin, int n, Chunk<T>& chunk) {
  T *__restrict gx = chunk.gx, *__restrict gy = chunk.gy;
  if (!shape.columns) {
    const T* __restrict grid = where.data + 2 * begin;
    for (int i = 0; i < n; ++i) gx[i] = grid[2 * i], gy[i] = grid[2 * i + 1];
    return;
  }
  const T* theta = where.data;
  int64_t row = begin / shape.columns, column = begin % shape.columns;
  for (int i = 0; i < n; ++row, column = 0) {
    const int count = static_cast<int>(std::min<int64_t>(n - i, shape.columns - column));
    const T* __restrict xi = where.columns + column;
    // In the order of the grid that is made in two steps.
    const T x = theta[1] * where.rows[row], y = theta[4] * where.rows[row];
    const T a = theta[0], b = theta[3], c = theta[2], d = theta[5];
    for (int k = 0; k < count; ++k) gx[i + k] = a * xi[k] + x + c;
    for (int k = 0; k < count; ++k) gy[i + k] = b * xi[k] + y + d;
    i += count;
  }
}

template <class T>
void Locate(const Shape& shape, Where<T> where, int64_t begin, int n, Chunk<T>& chunk) {
  Coordinates(shape, where, begin, n, chunk);
  LocateAxis(shape.padding, chunk.gx, n, shape.width, shape.align, chunk.x);
  LocateAxis(shape.padding, chunk.gy, n, shape.height, shape.align, chunk.y);
  FindCorners(chunk, n, shape.width);
}

// Forward. `channels` as a template argument is 0 where it is known only at run time.

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

template <class T>
void GatherMany(const Chunk<T>& chunk, int n, int channels, const T* __restrict image,
                const T* fill, T* __restrict out) {
  for (int i = 0; i < n; ++i, out += channels) {
    const Corners<T> corners(chunk, i, image, fill, channels);
    const T* const* v = corners.value;
    const T x = chunk.x.part[i], y = chunk.y.part[i];
#pragma omp simd
    for (int c = 0; c < channels; ++c) {
      const T top = (1 - x) * v[0][c] + x * v[1][c], bottom = (1 - x) * v[2][c] + x * v[3][c];
      out[c] = (1 - y) * top + y * bottom;
    }
  }
}

template <class T, int channels>
void Gather(const Chunk<T>& chunk, int n, int count, const T* image, const T* fill, T* out) {
  if constexpr (Few(channels)) {
    GatherFew<T, channels>(chunk, n, image, fill, out);
  } else {
    GatherMany(chunk, n, channels ? channels : count, image, fill, out);
  }
}

template <class T, int channels>
void Forward(ffi::ThreadPool& pool, const Shape& shape, const Examples<T>& image,
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

// Backward.

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

template <class T>
void SlopesMany(const Chunk<T>& chunk, int n, int channels, const T* __restrict image,
                const T* fill, const T* __restrict g, T* __restrict dx, T* __restrict dy) {
  for (int i = 0; i < n; ++i, g += channels) {
    const Corners<T> corners(chunk, i, image, fill, channels);
    const T* const* v = corners.value;
    const T x = chunk.x.part[i], y = chunk.y.part[i];
    T sum_x = 0, sum_y = 0;
#pragma omp simd reduction(+ : sum_x, sum_y)
    for (int c = 0; c < channels; ++c) {
      sum_x += g[c] * ((1 - y) * (v[1][c] - v[0][c]) + y * (v[3][c] - v[2][c]));
      sum_y += g[c] * ((1 - x) * (v[2][c] - v[0][c]) + x * (v[3][c] - v[1][c]));
    }
    dx[i] = chunk.x.slope[i] * sum_x;
    dy[i] = chunk.y.slope[i] * sum_y;
  }
}

template <class T, int channels>
void Slopes(const Chunk<T>& chunk, int n, int count, const T* image, const T* fill, const T* g,
            T* dx, T* dy) {
  if constexpr (Few(channels)) {
    SlopesFew<T, channels>(chunk, n, image, fill, g, dx, dy);
  } else {
    SlopesMany(chunk, n, channels ? channels : count, image, fill, g, dx, dy);
  }
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

template <class T, int channels>
void Backward(ffi::ThreadPool& pool, const Shape& shape, const Examples<T>& image,
              const Examples<T>& where, const Examples<T>& fill, const Examples<T>& g,
              const T* columns, const T* rows, const Wanted<T>& out) {
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

// The two handlers: the number of channels and the type are looked up once a call.

template <class F>
void ForChannels(int32_t channels, const F& f) {
  switch (channels) {
    case 1: return f(std::integral_constant<int, 1>());
    case 3: return f(std::integral_constant<int, 3>());
    case 4: return f(std::integral_constant<int, 4>());
    default: return f(std::integral_constant<int, 0>());
  }
}

template <class F>
ffi::Error ForType(ffi::DataType type, const F& f) {
  if (type == ffi::F32) return f(float()), ffi::Error::Success();
  if (type == ffi::F64) return f(double()), ffi::Error::Success();
  return ffi::Error::InvalidArgument("images must be float32 or float64");
}

// The leading axes of what has the batch in full.
std::vector<int64_t> Batch(ffi::AnyBuffer full, int64_t axes) {
  const auto dims = full.dimensions();
  return std::vector<int64_t>(dims.begin(), dims.begin() + axes);
}

// `full`: [*batch, *points, channels].
Shape MakeShape(ffi::AnyBuffer image, ffi::AnyBuffer full, ffi::AnyBuffer columns, int64_t axes,
                int64_t padding, bool align) {
  const auto dims = image.dimensions(), full_dims = full.dimensions();
  Shape shape;
  shape.height = static_cast<int32_t>(dims[axes]);
  shape.width = static_cast<int32_t>(dims[axes + 1]);
  shape.channels = static_cast<int32_t>(dims[axes + 2]);
  for (int64_t d = 0; d < axes; ++d) shape.batch *= full_dims[d];
  for (size_t d = axes; d + 1 < full_dims.size(); ++d) shape.points *= full_dims[d];
  shape.columns = columns.element_count();
  shape.padding = static_cast<Padding>(padding), shape.align = align;
  return shape;
}

template <class T>
T* Data(ffi::AnyBuffer x) {
  return x.element_count() ? static_cast<T*>(x.untyped_data()) : nullptr;
}

ffi::Error Empty() { return ffi::Error::InvalidArgument("the image has no pixels"); }

// out: [*batch, *points, C], the batch in full.
ffi::Error SampleImpl(ffi::ThreadPool pool, ffi::AnyBuffer image, ffi::AnyBuffer where,
                      ffi::AnyBuffer fill, ffi::AnyBuffer columns, ffi::AnyBuffer rows,
                      ffi::Result<ffi::AnyBuffer> out, int64_t axes, int64_t padding, bool align) {
  if (out->element_count() == 0) return ffi::Error::Success();
  if (image.element_count() == 0) return Empty();
  const std::vector<int64_t> batch = Batch(*out, axes);
  const Shape shape = MakeShape(image, *out, columns, axes, padding, align);
  return ForType(image.element_type(), [&](auto zero) {
    using T = decltype(zero);
    ForChannels(shape.channels, [&](auto channels) {
      Forward<T, channels()>(pool, shape, MakeExamples<T>(image, batch),
                             MakeExamples<T>(where, batch), MakeExamples<T>(fill, batch),
                             Data<T>(columns), Data<T>(rows), Data<T>(*out));
    });
  });
}

// g: [*batch, *points, C], the batch in full; a gradient that is not wanted is an empty result.
ffi::Error GradientsImpl(ffi::ThreadPool pool, ffi::AnyBuffer image, ffi::AnyBuffer where,
                         ffi::AnyBuffer fill, ffi::AnyBuffer g, ffi::AnyBuffer columns,
                         ffi::AnyBuffer rows, ffi::Result<ffi::AnyBuffer> dimage,
                         ffi::Result<ffi::AnyBuffer> dwhere, ffi::Result<ffi::AnyBuffer> dfill,
                         int64_t axes, int64_t padding, bool align) {
  if (g.element_count() > 0 && image.element_count() == 0) return Empty();
  const std::vector<int64_t> batch = Batch(g, axes);
  const Shape shape = MakeShape(image, g, columns, axes, padding, align);
  return ForType(image.element_type(), [&](auto zero) {
    using T = decltype(zero);
    ForChannels(shape.channels, [&](auto channels) {
      Backward<T, channels()>(pool, shape, MakeExamples<T>(image, batch),
                              MakeExamples<T>(where, batch), MakeExamples<T>(fill, batch),
                              MakeExamples<T>(g, batch), Data<T>(columns), Data<T>(rows),
                              {MakeExamples<T>(*dimage, batch), Data<T>(*dwhere), Data<T>(*dfill)});
    });
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(Sample, SampleImpl,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<int64_t>("batch")
                                  .Attr<int64_t>("padding")
                                  .Attr<bool>("align"));

XLA_FFI_DEFINE_HANDLER_SYMBOL(Gradients, GradientsImpl,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>()
                                  .Attr<int64_t>("batch")
                                  .Attr<int64_t>("padding")
                                  .Attr<bool>("align"));
