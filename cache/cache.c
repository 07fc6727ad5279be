#include "cache/objects.h"
