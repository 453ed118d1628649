// Bilinear sampling of images [*batch, H, W, C] on the CPU, and its gradients, as calls of XLA.
//
// Every result is computed in one fixed order, whatever the number of threads.

#include <cstdint>

#include "calls.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

attn::Buffer Of(ffi::AnyBuffer x) {
  const auto dims = x.dimensions();
  return {x.untyped_data(), std::vector<int64_t>(dims.begin(), dims.end())};
}

// Calls f of a zero of the type, which says why not, or null.
template <class F>
ffi::Error ForType(ffi::DataType type, const F& f) {
  const char* why = "images must be float32 or float64";
  if (type == ffi::F32) why = f(float());
  if (type == ffi::F64) why = f(double());
  return why ? ffi::Error::InvalidArgument(why) : ffi::Error::Success();
}

ffi::Error SampleImpl(ffi::ThreadPool pool, ffi::AnyBuffer image, ffi::AnyBuffer where,
                      ffi::AnyBuffer fill, ffi::AnyBuffer columns, ffi::AnyBuffer rows,
                      ffi::Result<ffi::AnyBuffer> out, int64_t axes, int64_t padding, bool align) {
  const attn::Inputs in{Of(image), Of(where), Of(fill), Of(columns), Of(rows)};
  return ForType(image.element_type(), [&](auto zero) {
    return attn::Sample<decltype(zero)>(pool, in, Of(*out), {axes, padding, align});
  });
}

ffi::Error GradientsImpl(ffi::ThreadPool pool, ffi::AnyBuffer image, ffi::AnyBuffer where,
                         ffi::AnyBuffer fill, ffi::AnyBuffer g, ffi::AnyBuffer columns,
                         ffi::AnyBuffer rows, ffi::Result<ffi::AnyBuffer> dimage,
                         ffi::Result<ffi::AnyBuffer> dwhere, ffi::Result<ffi::AnyBuffer> dfill,
                         int64_t axes, int64_t padding, bool align) {
  const attn::Inputs in{Of(image), Of(where), Of(fill), Of(columns), Of(rows)};
  return ForType(image.element_type(), [&](auto zero) {
    return attn::Gradients<decltype(zero)>(pool, in, Of(g), Of(*dimage), Of(*dwhere), Of(*dfill),
                                           {axes, padding, align});
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
