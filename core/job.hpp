// The tasks of one call of parallel_for, shared out among threads, whosever threads they are.
#pragma once

#include <atomic>
#include <cfenv>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <vector>

namespace tconv {

using Task = std::function<void(int64_t, int)>;

// A range of tasks. Adjacent tasks share a packed box, so each thread has a range of them. Idle threads steal
// from the far end of another thread's range.
class Stretch {
 public:
  void set(int64_t begin, int64_t end) { begin_ = begin, end_ = end; }
  bool take(bool own, int64_t* task) {
    std::lock_guard<std::mutex> guard(lock_);
    if (begin_ == end_) return false;
    *task = own ? begin_++ : --end_;
    return true;
  }

 private:
  std::mutex lock_;
  int64_t begin_ = 0, end_ = 0;
};

struct Job {
  const Task& task;
  const int64_t count;
  std::vector<Stretch> stretches;  // one per thread; empty where one thread runs all tasks
  std::exception_ptr error;
  std::atomic<bool> failed{false};
  std::fenv_t mode;  // the caller's: whether denormals are flushed must not depend on which thread computes

  Job(const Task& what, int64_t tasks, int threads)
      : task(what), count(tasks), stretches(threads > 1 ? static_cast<size_t>(threads) : 0) {
    std::fegetenv(&mode);
    for (int64_t i = 0; i < static_cast<int64_t>(stretches.size()); ++i)
      stretches[static_cast<size_t>(i)].set(count * i / threads, count * (i + 1) / threads);
  }

  void help(int worker) {  // on a thread other than the caller's
    std::fenv_t own;
    std::fegetenv(&own);
    std::fesetenv(&mode);
    work(worker);
    std::fesetenv(&own);
  }

  void work(int worker) {
    if (stretches.empty()) {
      for (int64_t i = 0; i < count && run(i, worker); ++i) continue;
      return;
    }
    for (size_t k = 0; k < stretches.size(); ++k)
      for (int64_t i; stretches[(static_cast<size_t>(worker) + k) % stretches.size()].take(k == 0, &i);)
        if (!run(i, worker)) return;
  }

 private:
  bool run(int64_t index, int worker) {
    if (failed.load(std::memory_order_relaxed)) return false;
    try {
      task(index, worker);
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
    return true;
  }
};

}  // namespace tconv
