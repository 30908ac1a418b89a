#include "threads.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "cores.hpp"
#include "job.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#define TCONV_PAUSE() _mm_pause()
#elif defined(__aarch64__)
#define TCONV_PAUSE() asm volatile("yield")
#else
#define TCONV_PAUSE() ((void)0)
#endif

namespace tconv {
namespace {

// About 20 to 50 microseconds: long enough to catch the next layer of a network, too short to show in a
// profile. Now and then the core is offered to others: a virtual machine may leave two of these threads on
// one core for long, and then the one that is waited for could not run.
constexpr int kSpins = 2000, kYield = 128;

void wait_for_change(std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    TCONV_PAUSE();
    if (i % kYield == kYield - 1) std::this_thread::yield();
  }
  value.wait(old, std::memory_order_acquire);
}

class Pool {
 public:
  void run(Job& job, int threads) {
    try {
      grow(threads - 1);
    } catch (const std::system_error&) {
      // The system starts no more threads: the existing ones do the work.
    }
    job_ = &job;
    pending_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
    allowed_ = threads - 1;
    generation_.fetch_add(1, std::memory_order_release);
    generation_.notify_all();
    job.work(0);
    for (uint32_t left; (left = pending_.load(std::memory_order_acquire)) != 0;)
      wait_for_change(pending_, left);
  }

 private:
  void grow(int count) {
    while (static_cast<int>(workers_.size()) < count) {
      const int worker = static_cast<int>(workers_.size()) + 1;
      workers_.emplace_back([this, worker, seen = generation_.load()]() mutable {
        for (;;) {
          wait_for_change(generation_, seen);
          if (generation_.load(std::memory_order_acquire) == seen) continue;
          ++seen;
          if (worker <= allowed_) job_->help(worker);
          if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1) pending_.notify_one();
        }
      });
      workers_.back().detach();  // the pool lives as long as the process
    }
  }

  std::vector<std::thread> workers_;
  std::atomic<uint32_t> generation_{0}, pending_{0};
  Job* job_ = nullptr;
  int allowed_ = 0;
};

std::mutex busy;
std::atomic<const Team*> team{nullptr};
Pool* pool = nullptr;
std::atomic<int> chosen{0};
thread_local bool inside = false;

// A forked child has none of its parent's threads, so it starts with an empty pool. The old pool is never
// touched again, since its locks may be held by threads that no longer exist.
void after_fork_in_child() {
  pool = nullptr;
  team = nullptr;
  new (&busy) std::mutex;
}

void watch_forks() {
  static const int registered = pthread_atfork(nullptr, nullptr, after_fork_in_child);
  (void)registered;
}

void run_on_team(const Team& on, Job& job, int threads) {
  struct Shared {
    Job& job;
    std::atomic<int> members{0};
  } shared{job};
  on.parallel(
      [](void* data) {
        Shared& all = *static_cast<Shared*>(data);
        all.job.help(all.members.fetch_add(1, std::memory_order_relaxed));
      },
      &shared, static_cast<unsigned>(threads), 0);
}

int default_threads() {
  if (const char* text = std::getenv("OMP_NUM_THREADS")) {
    const int count = std::atoi(text);
    if (count > 0) return std::min(count, 1024);
  }
  return available_cores();
}

}  // namespace

int num_threads() {
  int count = chosen.load(std::memory_order_relaxed);
  if (count == 0) {
    count = default_threads();
    chosen.store(count);
  }
  return count;
}

void set_num_threads(int count) { chosen.store(std::max(1, count)); }

void set_team(const Team& next) {
  watch_forks();
  // Never freed: another thread may be about to use the previous one.
  team = next.parallel && next.most ? new Team(next) : nullptr;
}

void parallel_for(int64_t count, int most_threads, const Task& task) {
  if (count <= 0) return;
  int threads = static_cast<int>(std::min<int64_t>({num_threads(), most_threads, count}));
  const Team* on = team.load(std::memory_order_acquire);
  if (on && threads > 1) threads = std::min(threads, on->most());
  std::unique_lock<std::mutex> guard(busy, std::defer_lock);
  if (threads > 1 && (inside || !guard.try_lock())) threads = 1;
  Job job(task, count, threads);
  if (threads > 1) {
    struct Inside {
      Inside() { inside = true; }
      ~Inside() { inside = false; }
    } mark;
    if (on) {
      run_on_team(*on, job, threads);
    } else {
      if (!pool) {
        watch_forks();
        pool = new Pool;
      }
      pool->run(job, threads);
    }
  } else {
    job.work(0);
  }
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace tconv
