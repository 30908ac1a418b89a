// The algorithm `phases`: an implicit matrix product per phase, box by box.
#pragma once

#include "setup.hpp"

namespace tconv {

int64_t phases_workspace(const Setup& setup);
int64_t phases_packed(const Setup& setup);
void pack_phases(const Setup& setup, const void* weight, void* packed);
void run_phases(const Setup& setup, const Arrays& arrays);

}  // namespace tconv
