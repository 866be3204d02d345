#pragma once
// All cryptography of the project but CURVE's, which libzmq takes from the same library.
#include <sodium.h>
