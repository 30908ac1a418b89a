// A plan prepared for running, and its two operations: pack and run.
#pragma once

#include "method.hpp"

namespace tconv {

class Runner {
 public:
  explicit Runner(const Plan& plan);

  const Plan& plan() const { return plan_; }
  int64_t workspace_bytes() const { return setup_.workspace; }  // of one thread
  int64_t shared_bytes() const { return shared_; }              // of all threads together
  int64_t packed_bytes() const { return packed_; }              // 0: this plan reads weights unpacked

  void pack(const void* weight, void* packed) const;
  void run(Arrays arrays) const;

 private:
  Plan plan_;  // as given; that of `setup_` is the real one
  bool complex_;
  Setup setup_;
  const Method& method_;
  int64_t shared_, packed_;
  bool by_task_;  // whether tasks pack the weights that come unpacked
};

}  // namespace tconv
