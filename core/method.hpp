// How a plan is executed: one line per algorithm.
#pragma once

#include "setup.hpp"

namespace tconv {

struct Method {
  int64_t (*workspace)(const Setup&);  // bytes of one thread
  int64_t (*packed)(const Setup&);     // bytes of packed weights; null: weights are read as they are
  void (*pack)(const Setup&, const void* weight, void* packed);
  void (*run)(const Setup&, const Arrays&);
};

const Method& method_of(const Plan& plan);

// Runs a method on real numbers, and mends what zeros that stand for nothing have made of infinities.
void run_method(const Setup& setup, const Method& method, const Arrays& arrays);

}  // namespace tconv
