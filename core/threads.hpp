// A pool of threads that runs numbered tasks. Which thread runs a task never changes the task's result.
#pragma once

#include <cstdint>
#include <functional>

namespace tconv {

// How many threads a run uses: set_num_threads, else OMP_NUM_THREADS, else the number that affinity and the
// container's quota allow. At least 1.
int num_threads();
void set_num_threads(int count);

// The OpenMP team of a framework in this process: GOMP_parallel and omp_get_max_threads of its runtime.
struct Team {
  void (*parallel)(void (*member)(void*), void* data, unsigned threads, unsigned flags);
  int (*most)();
};

// Runs on that team instead of the pool; an empty team restores the pool. The framework's idle workers spin
// on the very cores that the pool would need; on the framework's team they do the work. A forked child, in
// which an OpenMP team would hang, starts with the pool.
void set_team(const Team& team);

// Calls task(index, worker) once for every index in [0, count), in no fixed order, on at most `most_threads`
// threads, and returns when all are done. `worker` is below num_threads() and identifies the thread within
// this call. A second caller, while the pool is busy, runs its tasks on its own thread, so that the cores are
// never oversubscribed. Safe after fork.
void parallel_for(int64_t count, int most_threads,
                  const std::function<void(int64_t index, int worker)>& task);

}  // namespace tconv
