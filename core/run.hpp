// A plan made ready to run, and the three things that can be done with it.
#pragma once

#include "layout.hpp"
#include "memory.hpp"
#include "plan.hpp"
#include "winograd.hpp"

namespace tconv {

constexpr int64_t kMostWorkspace = int64_t{8} << 20;  // bytes that a plan may ask for

class Runner {
 public:
  explicit Runner(const Plan& plan);

  const Plan& plan() const { return plan_; }
  int64_t workspace_bytes() const { return workspace_; }  // of one thread
  int64_t shared_bytes() const { return shared_; }        // of all threads together
  int64_t packed_bytes() const { return packed_; }        // 0: this plan reads the weights as they are

  void pack(const void* weight, void* packed) const;
  // Source and target are those of the map. Weights are packed ones if packed_bytes() is not 0. For the weight
  // gradient `source` is x, `weight` is y and the target is dL/dweight.
  void run(const void* source, const void* weight, const void* bias, void* target) const;
  // The same with weights that are not packed yet.
  void run_unpacked(const void* source, const void* weight, const void* bias, void* target) const;

 private:
  void run_real(const void* source, const void* weight, const void* bias, void* target) const;
  void run_complex(const void* source, const void* weight, const void* bias, void* target) const;
  template <class S> void pack_as(const S* weight, S* packed) const;
  template <class S> void pack_matrix(const S* weight, void* packed) const;
  template <class S, class T> void pack_rows(const S* weight, int64_t group, int64_t first, T* block) const;
  // Without packed weights, `weight` is packed block by block.
  template <class S> void run_as(const S* source, const void* packed, const S* weight, const S* bias, S* target) const;

  Plan plan_;          // the real one, where numbers are complex
  Layout layout_;      // of `phases`
  Winograd winograd_;  // of `winograd`
  int64_t workspace_ = 0, shared_ = 0, packed_ = 0;
  int64_t block_ = 0;  // numbers of a block of weights that is packed by who reads it; 0: all are packed before
};

}  // namespace tconv
