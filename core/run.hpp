// A plan made ready to run, and the two things that can be done with it.
#pragma once

#include "method.hpp"

namespace tconv {

class Runner {
 public:
  explicit Runner(const Plan& plan);

  const Plan& plan() const { return plan_; }
  int64_t workspace_bytes() const { return setup_.workspace; }  // of one thread
  int64_t shared_bytes() const { return shared_; }              // of all threads together
  int64_t packed_bytes() const { return packed_; }              // 0: this plan reads the weights as they are

  void pack(const void* weight, void* packed) const;
  void run(Arrays arrays) const;

 private:
  Plan plan_;  // as it was given; that of `setup_` is the real one
  bool complex_;
  Setup setup_;
  const Method& method_;
  int64_t shared_, packed_;
  bool by_task_;  // whether weights that come unpacked are left to the tasks
};

}  // namespace tconv
