// What a credential card uses of Arduino's core for the ESP32: enough to check types.
#pragma once
#include <cstddef>
#include <cstdint>
struct Print {
  void begin(unsigned long);
  __attribute__((format(printf, 2, 3))) void printf(const char *, ...);
};
extern Print Serial;
enum { WL_CONNECTED = 3 };
struct Wifi {
  void begin(const char *, const char *);
  int status();
};
extern Wifi WiFi;
void delay(unsigned long);
