// The two calls: the number of channels is looked up once in each.

#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "backward.h"

namespace attn {

struct Inputs {
  Buffer image, where, fill, columns, rows;  // the last two of an affine grid, else empty
};

struct Options {
  int64_t axes;  // of the batch
  int64_t padding;
  bool align;
};

// Why a call cannot be computed; null if it can.
template <class T>
const char* Refusal(const Buffer& image, const Buffer& full, const Options& options) {
  const int64_t height = image.dims[options.axes], width = image.dims[options.axes + 1];
  const int64_t channels = image.dims[options.axes + 2];
  if (options.padding < kConstant || options.padding > kWrap) return "the padding is not known";
  if (full.count() && !image.count()) return "the image has no pixels";
  if (height > kMostPixels<T> || width > kMostPixels<T>) return "an axis has too many pixels";
  const int64_t most = (int64_t{1} << 31) - 1;  // pixels are counted in int32
  if (width && height * width > most / (channels + 1)) return "the image has too many pixels";
  return nullptr;
}

// The leading axes of what has the batch in full.
inline std::vector<int64_t> Batch(const Buffer& full, int64_t axes) {
  return std::vector<int64_t>(full.dims.begin(), full.dims.begin() + axes);
}

// `full`: [*batch, *points, channels].
inline Shape MakeShape(const Inputs& in, const Buffer& full, const Options& options) {
  const size_t axes = options.axes;
  Shape shape;
  shape.height = static_cast<int32_t>(in.image.dims[axes]);
  shape.width = static_cast<int32_t>(in.image.dims[axes + 1]);
  shape.channels = static_cast<int32_t>(in.image.dims[axes + 2]);
  for (size_t d = 0; d < axes; ++d) shape.batch *= full.dims[d];
  for (size_t d = axes; d + 1 < full.dims.size(); ++d) shape.points *= full.dims[d];
  shape.columns = in.columns.count();
  shape.padding = static_cast<Padding>(options.padding), shape.align = options.align;
  return shape;
}

template <class F>
void ForChannels(int32_t channels, const F& f) {
  switch (channels) {
    case 1: return f(std::integral_constant<int, 1>());
    case 3: return f(std::integral_constant<int, 3>());
    case 4: return f(std::integral_constant<int, 4>());
    default: return f(std::integral_constant<int, 0>());
  }
}

template <class T>
T* Data(const Buffer& x) {
  return x.count() ? static_cast<T*>(x.data) : nullptr;
}

// out: [*batch, *points, C], the batch in full.
template <class T, class Pool>
const char* Sample(Pool& pool, const Inputs& in, const Buffer& out, const Options& options) {
  if (const char* why = Refusal<T>(in.image, out, options)) return why;
  if (out.count() == 0) return nullptr;
  const std::vector<int64_t> batch = Batch(out, options.axes);
  const Shape shape = MakeShape(in, out, options);
  ForChannels(shape.channels, [&](auto channels) {
    Forward<T, channels()>(pool, shape, MakeExamples<T>(in.image, batch),
                           MakeExamples<T>(in.where, batch), MakeExamples<T>(in.fill, batch),
                           Data<T>(in.columns), Data<T>(in.rows), Data<T>(out));
  });
  return nullptr;
}

// g: [*batch, *points, C], the batch in full; a gradient that is not wanted is an empty result.
template <class T, class Pool>
const char* Gradients(Pool& pool, const Inputs& in, const Buffer& g, const Buffer& dimage,
                      const Buffer& dwhere, const Buffer& dfill, const Options& options) {
  if (const char* why = Refusal<T>(in.image, g, options)) return why;
  const std::vector<int64_t> batch = Batch(g, options.axes);
  const Shape shape = MakeShape(in, g, options);
  ForChannels(shape.channels, [&](auto channels) {
    Backward<T, channels()>(pool, shape, MakeExamples<T>(in.image, batch),
                            MakeExamples<T>(in.where, batch), MakeExamples<T>(in.fill, batch),
                            MakeExamples<T>(g, batch), Data<T>(in.columns), Data<T>(in.rows),
                            {MakeExamples<T>(dimage, batch), Data<T>(dwhere), Data<T>(dfill)});
  });
  return nullptr;
}

}  // namespace attn
