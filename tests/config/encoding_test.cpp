#include "config/encoding.hpp"

#include <doctest/doctest.h>

using namespace flow_runner;

TEST_CASE("encoding: sha256 gives the published digests") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("encoding: base64 gives the vectors of RFC 4648 and reads them back") {
  struct Row {
    std::string_view bytes;
    std::string_view text;
  };
  for (const Row& row : {Row{"", ""},
                         {"f", "Zg=="},
                         {"fo", "Zm8="},
                         {"foo", "Zm9v"},
                         {"foob", "Zm9vYg=="},
                         {"fooba", "Zm9vYmE="},
                         {"foobar", "Zm9vYmFy"}}) {
    CAPTURE(row.bytes);
    CHECK(base64_encode(row.bytes) == row.text);
    CHECK(base64_decode(row.text).value() == row.bytes);
  }
}

TEST_CASE("encoding: base64 carries every byte") {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  CHECK(base64_decode(base64_encode(bytes)).value() == bytes);
}

TEST_CASE("encoding: what is not strict base64 is refused") {
  for (const std::string_view text : {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=",
                                      "Zg==Zg==", "Zm 9", "Zm9v\n", "Zm_-", "=Zg=", "Z=g="}) {
    CAPTURE(text);
    CHECK(base64_decode(text).has_error());
  }
}
