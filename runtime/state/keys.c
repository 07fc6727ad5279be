#include "runtime/state/keys.h"
