// This library's parallel_for, in place of threads.cpp: it starts no threads. ONNX Runtime's idle workers
// spin on the cores that a second pool would need; as members of the run they do the work. A session of one
// thread runs everything on the caller's.
#include "pool.hpp"

#include <algorithm>

#include "../cores.hpp"
#include "../job.hpp"
#include "../threads.hpp"

namespace tconv {
namespace {

struct Pool {
  const ort::Api* api = nullptr;
  const ort::Context* context = nullptr;
};
thread_local Pool pool;

struct Run {
  Job job;
  std::atomic<int> members{0};
};

void join(void* data, size_t) {
  Run& run = *static_cast<Run*>(data);
  run.job.help(run.members.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

namespace ort {
OnPool::OnPool(const Api& api, const Context* context) { pool = {&api, context}; }
OnPool::~OnPool() { pool = {}; }
}  // namespace ort

int num_threads() {
  static const int count = available_cores();
  return count;
}

void parallel_for(int64_t count, int most_threads, const Task& task) {
  if (count <= 0) return;
  const Pool on = pool;
  const int threads = on.api ? static_cast<int>(std::min<int64_t>({num_threads(), most_threads, count})) : 1;
  Run run{Job(task, count, threads)};
  if (threads > 1) {
    // A task of another run on this thread must not meet this one's session.
    pool = {};
    ort::Status* status = on.api->parallel_for(on.context, join, static_cast<size_t>(threads), 0, &run);
    pool = on;
    on.api->check(status);
  } else {
    run.job.work(0);
  }
  if (run.job.error) std::rethrow_exception(run.job.error);
}

}  // namespace tconv
