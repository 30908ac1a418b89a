// The state of each thread during one run.
#pragma once

#include <algorithm>
#include <vector>

#include "exact.hpp"
#include "memory.hpp"
#include "threads.hpp"

namespace tconv {

// A block of workspace, allocated when the thread's first task needs it, and what the last task left in it.
class Worker {
 public:
  template <class T> T* memory(size_t bytes) {
    fresh_ = !block_.bytes();
    // From 64 KiB on a huge page: panels are read across their rows, each of which may be on a separate small
    // page.
    if (fresh_) block_ = Block(bytes < (size_t{64} << 10) ? bytes : std::max(bytes, kHugePage));
    return block_.as<T>();
  }
  bool fresh() const { return fresh_; }  // whether memory() has just allocated it
  int64_t holds = -1;
  Exact exact;

 private:
  Block block_;
  bool fresh_ = false;
};

class Workers {
 public:
  // The number of threads is read once: another Python thread may change it during this run.
  explicit Workers(int most_threads) : workers_(static_cast<size_t>(std::min(num_threads(), most_threads))) {}
  int threads() const { return static_cast<int>(workers_.size()); }
  Worker& operator[](int worker) { return workers_[static_cast<size_t>(worker)]; }

 private:
  std::vector<Worker> workers_;
};

}  // namespace tconv
