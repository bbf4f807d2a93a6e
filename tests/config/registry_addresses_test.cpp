#include "config/registry_addresses.hpp"

#include <doctest/doctest.h>

using namespace flow_runner;
using Addresses = std::vector<std::string>;

TEST_CASE("registries: an npmrc names them, scoped ones too, and its tokens are no addresses") {
  CHECK(npm_registries("; a comment\nregistry=https://npm.example.com/\n"
                       "@team:registry = \"https://team.example.com:8443/npm/\"\n"
                       "//npm.example.com/:_authToken=registry=x\nbroken\n") ==
        Addresses{"https://npm.example.com/", "https://team.example.com:8443/npm/"});
}

TEST_CASE("registries: a pip.conf names one or several") {
  CHECK(pip_registries("[global]\nindex-url = https://pip.example.com/simple\n"
                       "extra-index-url = https://a.example.com https://b.example.com\n"
                       "# index-url = https://no.example.com\ntimeout = 60\n") ==
        Addresses{"https://pip.example.com/simple", "https://a.example.com",
                  "https://b.example.com"});
}

TEST_CASE("registries: apt's source lists in both forms") {
  CHECK(apt_registries("deb http://deb.example.com/debian bookworm main\n"
                       "# deb http://no.example.com x y\n"
                       "deb-src [signed-by=/a b.gpg] https://src.example.com/x bookworm main\n"
                       "deb [broken http://no.example.com x\n"
                       "Types: deb\nURIs: http://one.example.com/ http://two.example.com/\n") ==
        Addresses{"http://deb.example.com/debian", "https://src.example.com/x",
                  "http://one.example.com/", "http://two.example.com/"});
}
