#include "cores.hpp"

#include <algorithm>
#include <cstdio>
#include <thread>

#if defined(__linux__)
#include <sched.h>
#endif

namespace tconv {
namespace {

int quota() {
#if defined(__linux__)
  if (FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    long limit = 0, period = 0;
    const int got = std::fscanf(file, "%ld %ld", &limit, &period);  // "max 100000" leaves got at 0
    std::fclose(file);
    if (got == 2 && limit > 0 && period > 0) return static_cast<int>(std::max(1L, limit / period));
  }
#endif
  return 1 << 20;
}

}  // namespace

int available_cores() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
#endif
  return std::max(1, std::min(cpus, quota()));
}

}  // namespace tconv
