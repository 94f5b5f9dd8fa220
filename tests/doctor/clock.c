/* Shifts the wall clock by S2SD_TEST_CLOCK_OFF seconds for the process that preloads this library: Linux has no namespace for
   the wall clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t id, struct timespec *out) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(id, out);
  const char *off = getenv("S2SD_TEST_CLOCK_OFF");
  if (result == 0 && id == CLOCK_REALTIME && off) out->tv_sec += atol(off);
  return result;
}
