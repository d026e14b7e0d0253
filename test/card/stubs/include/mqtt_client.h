// What a credential card uses of ESP-IDF's component mqtt: enough to check types.
#pragma once
#include <stddef.h>
#include "esp_event.h"
typedef struct esp_mqtt_client *esp_mqtt_client_handle_t;
typedef enum { MQTT_EVENT_CONNECTED = 1, MQTT_EVENT_DATA = 6, MQTT_EVENT_ANY = -1 } esp_mqtt_event_id_t;
#define ESP_EVENT_ANY_ID MQTT_EVENT_ANY
typedef struct {
  esp_mqtt_client_handle_t client;
  char *topic;
  int topic_len;
  char *data;
  int data_len;
} *esp_mqtt_event_handle_t;
typedef struct {
  struct {
    struct { const char *uri; } address;
    struct {
      const char *certificate;
      int (*crt_bundle_attach)(void *);
    } verification;
  } broker;
  struct {
    const char *username;
    const char *client_id;
    struct { const char *password; } authentication;
  } credentials;
} esp_mqtt_client_config_t;
esp_mqtt_client_handle_t esp_mqtt_client_init(const esp_mqtt_client_config_t *);
int esp_mqtt_client_register_event(esp_mqtt_client_handle_t, esp_mqtt_event_id_t, esp_event_handler_t, void *);
int esp_mqtt_client_start(esp_mqtt_client_handle_t);
int esp_mqtt_client_subscribe(esp_mqtt_client_handle_t, const char *, int);
int esp_mqtt_client_publish(esp_mqtt_client_handle_t, const char *, const char *, int, int, int);
