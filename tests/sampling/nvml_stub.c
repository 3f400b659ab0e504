/* A library with the entry points of libnvidia-ml.so.1 that are asked, for a machine without devices. Device 0 is well,
   device 1 has fallen off the bus, device 2 counts no errors. Structures and numbers: nvml.h. */
#include <stddef.h>

typedef struct { unsigned int gpu, memory; } utilization;
typedef struct { unsigned long long total, free, used; } memory;

enum { SUCCESS = 0, NOT_SUPPORTED = 3, GPU_IS_LOST = 15 };

static int number[3] = {0, 1, 2};

static int is(void *device, int which) { return device == &number[which]; }

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlInitWithFlags(unsigned int flags) { (void)flags; return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == GPU_IS_LOST ? "GPU is lost" : "Not Supported"; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 3; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) { *device = &number[index]; return SUCCESS; }
int nvmlDeviceGetUtilizationRates(void *device, utilization *found) {
    if (is(device, 1)) return GPU_IS_LOST;
    found->gpu = 97;
    found->memory = 40;
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(void *device, memory *found) {
    (void)device;
    found->total = 80ULL << 30;
    found->used = 64ULL << 30;
    found->free = 16ULL << 30;
    return SUCCESS;
}
int nvmlDeviceGetTemperature(void *device, int sensor, unsigned int *found) {
    (void)device, (void)sensor;
    *found = 71;
    return SUCCESS;
}
int nvmlDeviceGetPowerUsage(void *device, unsigned int *milliwatts) { (void)device; *milliwatts = 350500; return SUCCESS; }
int nvmlDeviceGetTotalEccErrors(void *device, int type, int counter, unsigned long long *found) {
    if (is(device, 2)) return NOT_SUPPORTED;
    *found = type == 1 && counter == 0 ? 2 : 99; /* uncorrected, volatile */
    return SUCCESS;
}
