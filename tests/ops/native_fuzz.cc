// Calls the native kernels with random arguments, in buffers of their exact size.
//
// For AddressSanitizer and UndefinedBehaviorSanitizer: native_fuzz COUNT SEED. Ends with 1 if a call
// is refused, or leaves a result unwritten; prints how many calls of each kind there were.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "calls.h"

namespace {

// Runs what is scheduled at once, half of the time on another thread.
struct Pool {
  std::vector<std::thread> threads;
  int64_t size;
  int64_t num_threads() const { return size; }
  void Schedule(std::function<void()> task) { threads.emplace_back(std::move(task)); }
  ~Pool() {
    for (std::thread& thread : threads) thread.join();
  }
};

using Random = std::mt19937_64;

int64_t Below(Random& random, int64_t n) { return random() % n; }

// A value that no kernel computes: a NaN with a payload of its own.
template <class T>
T Unwritten() {
  T value;
  std::memset(&value, 0xAB, sizeof(T));
  const uint64_t nan = sizeof(T) == 4 ? 0x7fabababu : 0x7ffbababababababu;
  std::memcpy(&value, &nan, sizeof(T));
  return value;
}

template <class T>
struct Array {
  std::unique_ptr<T[]> values;
  attn::Buffer buffer;

  Array(std::vector<int64_t> dims, const std::function<T()>& value) {
    buffer.dims = std::move(dims);
    values.reset(new T[buffer.count()]);
    for (int64_t i = 0; i < buffer.count(); ++i) values[i] = value();
    buffer.data = values.get();
  }

  bool written() const {
    const T unwritten = Unwritten<T>();
    for (int64_t i = 0; i < buffer.count(); ++i) {
      if (!std::memcmp(&values[i], &unwritten, sizeof(T))) return false;
    }
    return true;
  }
};

// Coordinates within, around and far from the image; on pixels; not finite; tiny; as large as can be.
template <class T>
T Coordinate(Random& random) {
  using Limits = std::numeric_limits<T>;
  const T special[] = {0, T(-0.0), 1, -1, T(0.5), Limits::infinity(), -Limits::infinity(),
                       Limits::quiet_NaN(), Limits::max(), Limits::lowest(), Limits::min(),
                       Limits::denorm_min(), T(1e9), T(-1e9), T(65536), T(3e7)};
  const T unit = std::uniform_real_distribution<T>(-1, 1)(random);
  switch (Below(random, 5)) {
    case 0: return special[Below(random, sizeof(special) / sizeof(T))];
    case 1: return std::ldexp(unit, static_cast<int>(Below(random, 60)) - 20);
    case 2: return T(Below(random, 9) - 4) / 4;
    default: return unit * 2;
  }
}

template <class T>
bool Call(Random& random, std::map<std::string, int64_t>& counts) {
  using Dims = std::vector<int64_t>;
  Pool pool{{}, 1 + Below(random, 3)};
  const bool affine = Below(random, 2), large = Below(random, 50) == 0;
  attn::Options options{Below(random, 3), Below(random, 4), Below(random, 2) == 0};
  const auto size = [&](int64_t most) { return 1 + Below(random, Below(random, 3) ? most : 3); };
  const Dims image{size(9), size(large ? 3000 : 9), Below(random, 30) ? size(6) : Below(random, 80)};
  Dims points;
  const int64_t axes = affine ? 2 : Below(random, 4);
  for (int64_t d = 0; d < axes; ++d) {
    points.push_back(affine || Below(random, 15) ? size(large ? 60 : 12) : 0);
  }
  Dims batch;
  for (int64_t d = 0; d < options.axes; ++d) batch.push_back(Below(random, 10) ? size(3) : 0);
  const auto with = [&](Dims item, bool shared) {
    Dims dims = batch;
    for (int64_t& n : dims) n = shared && Below(random, 2) ? 1 : n;
    dims.insert(dims.end(), item.begin(), item.end());
    return dims;
  };
  const auto pixel = [&] {
    const T value = std::uniform_real_distribution<T>(-1, 1)(random);
    if (Below(random, 200)) return value;
    return Below(random, 2) ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::quiet_NaN();
  };
  const auto coordinate = [&] { return Coordinate<T>(random); };
  const auto nothing = [] { return Unwritten<T>(); };
  Dims where = affine ? Dims{2, 3} : points;
  if (!affine) where.push_back(2);
  Dims full = points;
  full.push_back(image[2]);
  const auto along = [&](int d) { return Dims{affine ? points[d] : 0}; };

  Array<T> images(with(image, true), pixel), places(with(where, true), coordinate);
  Array<T> fill(with({image[2]}, true), pixel), g(with(full, false), pixel);
  Array<T> columns(along(1), coordinate), rows(along(0), coordinate);
  const attn::Inputs in{images.buffer, places.buffer, fill.buffer, columns.buffer, rows.buffer};
  counts[affine ? "affine" : "grid"]++;
  counts[sizeof(T) == 4 ? "float32" : "float64"]++;
  counts[g.buffer.count() ? "with points" : "empty"]++;
  if (Below(random, 2)) {
    counts["forward"]++;
    Array<T> out(g.buffer.dims, nothing);
    return !attn::Sample<T>(pool, in, out.buffer, options) && out.written();
  }
  counts["backward"]++;
  const auto wanted = [&](Dims item, bool shared) {
    return with(Below(random, 4) ? item : Dims(item.size(), 0), shared);
  };
  Array<T> dimage(wanted(image, true), nothing), dwhere(wanted(where, false), nothing);
  Array<T> dfill(wanted({image[2]}, false), nothing);
  const char* why = attn::Gradients<T>(pool, in, g.buffer, dimage.buffer, dwhere.buffer,
                                       dfill.buffer, options);
  return !why && dimage.written() && dwhere.written() && dfill.written();
}

}  // namespace

int main(int, char** arguments) {
  const int64_t count = std::atoll(arguments[1]);
  std::map<std::string, int64_t> counts;
  for (int64_t i = 0; i < count; ++i) {
    Random random(std::atoll(arguments[2]) + i);
    if (!(i % 2 ? Call<float>(random, counts) : Call<double>(random, counts))) {
      std::fprintf(stderr, "call %lld is refused, or leaves a result unwritten\n", (long long)i);
      return 1;
    }
  }
  std::printf("calls %lld", (long long)count);
  for (const auto& [name, n] : counts) std::printf(", %s %lld", name.c_str(), (long long)n);
  std::printf("\n");
}
