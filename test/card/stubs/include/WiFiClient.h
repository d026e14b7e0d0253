#pragma once
struct Client {};
struct WiFiClient : Client {};
