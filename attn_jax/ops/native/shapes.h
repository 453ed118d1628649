// The arguments of a call, and the places that it reads.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "places.h"

namespace attn {

struct Shape {
  int64_t batch = 1, points = 1;
  int32_t height = 0, width = 0, channels = 0;
  int64_t columns = 0;  // of an affine grid; else 0
  Padding padding = kConstant;
  bool align = false;
};

// An array of a call.
struct Buffer {
  void* data;
  std::vector<int64_t> dims;
  int64_t count() const {
    int64_t count = 1;
    for (int64_t n : dims) count *= n;
    return count;
  }
};

// One argument of many examples; along a batch axis of length 1 the same for all.
template <class T>
struct Examples {
  T* data = nullptr;
  int64_t count = 0;  // values of all examples
  std::vector<int64_t> offsets;
  T* operator[](int64_t b) const { return data ? data + offsets[b] : nullptr; }
};

template <class T>
Examples<T> MakeExamples(const Buffer& x, const std::vector<int64_t>& batch) {
  const std::vector<int64_t>& dims = x.dims;
  int64_t item = 1, total = 1;
  for (size_t d = batch.size(); d < dims.size(); ++d) item *= dims[d];
  for (int64_t d : batch) total *= d;
  Examples<T> examples{item ? static_cast<T*>(x.data) : nullptr, x.count(),
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

}  // namespace attn
