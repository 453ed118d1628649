// Work shared out to threads.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

namespace attn {

constexpr int64_t kSmall = 8192;  // values below which waking a second thread costs more

// Calls body(0) ... body(count - 1). The caller works too and waits only for tasks that are
// running, so a pool whose threads are all busy or blocked cannot hold it up.
template <class Pool, class Body>
void Parallel(Pool& pool, int64_t count, bool worth, const Body& body) {
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

}  // namespace attn
