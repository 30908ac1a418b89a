#include "memory.hpp"

#include <pthread.h>

#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace tconv {
namespace {

constexpr size_t kKeepFrom = size_t{1} << 20;  // smaller blocks are left to malloc
constexpr size_t kKeepMost = size_t{256} << 20;

struct Kept {
  void* block;
  size_t bytes;
};
// Never destroyed: outputs may outlive every static object.
std::mutex& lock = *new std::mutex;
std::vector<Kept>& kept = *new std::vector<Kept>;
size_t kept_bytes = 0;

// A fork must not copy the lock while another thread holds it.
[[maybe_unused]] const int fork_safe =
    pthread_atfork([] { lock.lock(); }, [] { lock.unlock(); }, [] { lock.unlock(); });

bool large(size_t bytes) { return bytes >= kKeepFrom; }
size_t rounded(size_t bytes) {
  const size_t unit = large(bytes) ? kHugePage : 64;
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

void* take_block(size_t bytes) {
  const size_t size = rounded(bytes ? bytes : 1);
  if (size < bytes) throw std::bad_alloc();
  if (large(bytes)) {
    std::lock_guard<std::mutex> guard(lock);
    for (size_t i = kept.size(); i-- > 0;)
      if (kept[i].bytes == size) {
        void* block = kept[i].block;
        kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(i));
        kept_bytes -= size;
        return block;
      }
  }
  const size_t alignment = large(bytes) ? kHugePage : 64;
  void* block = std::aligned_alloc(alignment, size);
  if (!block) {  // free the kept blocks and try again
    empty_cache();
    block = std::aligned_alloc(alignment, size);
  }
  if (!block) throw std::bad_alloc();
#if defined(__linux__)
  if (large(bytes)) madvise(block, size, MADV_HUGEPAGE);
#endif
  return block;
}

void give_block(void* block, size_t bytes) noexcept {
  const size_t size = rounded(bytes ? bytes : 1);
  if (large(bytes) && size <= kKeepMost) {
    std::vector<void*> surplus;
    {
      std::lock_guard<std::mutex> guard(lock);
      try {
        while (!kept.empty() && kept_bytes + size > kKeepMost) {  // the oldest goes first
          surplus.push_back(kept.front().block);
          kept_bytes -= kept.front().bytes;
          kept.erase(kept.begin());
        }
        kept.push_back({block, size});
        kept_bytes += size;
        block = nullptr;
      } catch (...) {
      }
    }
    for (void* old : surplus) std::free(old);
  }
  std::free(block);
}

void empty_cache() noexcept {
  std::lock_guard<std::mutex> guard(lock);
  for (const Kept& entry : kept) std::free(entry.block);
  kept.clear();
  kept_bytes = 0;
}

size_t cached_bytes() noexcept {
  std::lock_guard<std::mutex> guard(lock);
  return kept_bytes;
}

}  // namespace tconv
