// Places: from coordinates in [-1, 1] to pixels and weights.
//
// Points are taken in chunks: the coordinates, pixel indices and weights of a chunk are computed
// in plain loops that the compiler vectorises, then pixels are gathered (or scattered to).

#pragma once

#include <cmath>
#include <cstdint>

namespace attn {

constexpr int kChunk = 256;       // points at a time: what they need stays in the first cache

enum Padding : int64_t { kConstant, kBorder, kReflection, kWrap };

// The most pixels of an axis that T and int32 count exactly, with those just outside.
template <class T>
constexpr int64_t kMostPixels = sizeof(T) == 4 ? int64_t{1} << 24 : (int64_t{1} << 31) - 8;

// What has weight 0 contributes nothing, also if it is not finite; 0 times it would be NaN. So a
// result that is NaN is computed again, with selections that are too slow for each.
template <bool select, class T>
inline T Part(T weight, T value) {
  return !select || weight != 0 ? weight * value : T(0);
}

template <class T>
bool AnyNaN(const T* x, int64_t count) {
  int any = 0;
#pragma omp simd reduction(| : any)
  for (int64_t i = 0; i < count; ++i) any |= x[i] != x[i];
  return any;
}

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

}  // namespace attn
