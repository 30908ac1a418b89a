// Plain loops over the definition, any dtype: the slowest algorithm, and the one that always applies.
#pragma once

#include "setup.hpp"

namespace tconv {

int64_t reference_workspace(const Setup& setup);
void run_reference(const Setup& setup, const Arrays& arrays);

}  // namespace tconv
