// Plain loops over the definition, any dtype: the slowest algorithm, and the one that always applies.
#pragma once

#include "setup.hpp"

namespace tconv {

int64_t reference_workspace(const Setup& setup);
void run_reference(const Setup& setup, const Arrays& arrays);

// Computes again what is NaN in the target, by the definition: other algorithms also multiply zeros that
// stand for what does not exist, and a zero times an infinity is NaN.
void mend(const Setup& setup, const Arrays& arrays);
// The same, unless all numbers of the smaller side, source and weight or the target, are finite and at most
// half of the largest number: sums of those are NaN only where the definition's are.
void mend_unless_bounded(const Setup& setup, const Arrays& arrays);

}  // namespace tconv
