#include <doctest/doctest.h>
#include <string>
#include <vector>

#include "executor/masker.hpp"
#include "executor/token_rules.hpp"
#include "tests/executor/masker_reference.hpp"

using namespace flow_runner;
using namespace flow_runner::test;

namespace {

// No key of any service: made of parts, so that no scanner takes this file for a leak.
std::string tail(std::size_t bytes) {
  const std::string some = "Fl0wRunnerTest7";
  std::string out;
  while (out.size() < bytes) out += some;
  out.resize(bytes);
  return out;
}

std::string upper_tail(std::size_t bytes) { return std::string(bytes - 1, 'T') + "7"; }

std::string key_lines(std::size_t count, const std::string& newline) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += tail(64) + newline;
  return out;
}

// Masked as a whole, and in each two pieces, and byte by byte.
void check_masked(const std::string& text, const std::string& expected) {
  static const auto patterns = MaskerPatterns::compile({});
  CAPTURE(text);
  CHECK(mask_text(*patterns, text) == expected);
  Masker masker(patterns);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    CAPTURE(cut);
    std::string out;
    masker.write(std::string_view(text).substr(0, cut), out);
    masker.write(std::string_view(text).substr(cut), out);
    masker.flush(out);
    REQUIRE(out == expected);
  }
  std::string out;
  for (const char c : text) masker.write({&c, 1}, out);
  masker.flush(out);
  CHECK(out == expected);
}

void check_untouched(const std::string& text) { check_masked(text, text); }

}  // namespace

TEST_CASE("masker: the tail of a token of a known issuer is masked, its prefix shows whose it is") {
  for (const char* prefix :
       {"glpat-",  "gloas-",   "gldt-",       "glrt-",     "glrtr-",    "glcbt-",      "glptt-",
        "glft-",   "glimt-",   "glagent-",    "glwt-",     "glsoat-",   "glffct-",     "GR1348941",
        "sk-ant-", "sk-proj-", "sk-svcacct-", "sk-admin-", "sk-or-v1-", "sk-",         "AIza",
        "ghp_",    "gho_",     "ghu_",        "ghs_",      "ghr_",      "github_pat_", "npm_"}) {
    const std::string masked = std::string(prefix) + "[MASKED]";
    check_masked("token: " + std::string(prefix) + tail(40) + "\n", "token: " + masked + "\n");
    check_masked(std::string(prefix) + tail(300), masked);
  }
  for (const char* prefix : {"AKIA", "ASIA"})
    check_masked("id=" + std::string(prefix) + upper_tail(16) + ";",
                 "id=" + std::string(prefix) + "[MASKED];");
}

TEST_CASE("masker: every rule of the table is found, whatever triggers the search for it") {
  for (const auto& rule : token_rules()) {
    CAPTURE(rule.prefix);
    const std::string token =
        std::string(rule.prefix) + (rule.alphabet == TokenAlphabet::upper_and_digits
                                        ? upper_tail(rule.min_bytes)
                                        : tail(rule.min_bytes));
    std::string out;
    Masker masker(MaskerPatterns::compile({}));
    masker.write("a " + token + " b", out);
    masker.flush(out);
    CHECK(out.find("[MASKED]") != std::string::npos);
  }
}

TEST_CASE("masker: a token has its issuer's least length and alphabet") {
  check_untouched("glpat-" + tail(19));
  check_masked("glpat-" + tail(20), "glpat-[MASKED]");
  check_untouched("sk-" + tail(31));
  check_untouched("sk-" + tail(20) + "-" + tail(20));
  check_masked("sk-" + tail(32) + "-end", "sk-[MASKED]-end");
  check_masked("sk-ant-" + tail(10) + "_" + tail(10) + "-x)", "sk-ant-[MASKED])");
  check_untouched("AKIA" + upper_tail(15));
  check_untouched("AKIA" + tail(20));
  check_untouched("AIza" + tail(34));
}

TEST_CASE("masker: a routable token has parts, and a sentence's full stop is none") {
  check_masked("glpat-" + tail(27) + ".01.0" + tail(8) + " x", "glpat-[MASKED] x");
  check_masked("It is glpat-" + tail(20) + ". It", "It is glpat-[MASKED]. It");
  check_masked("glpat-" + tail(20) + "..x", "glpat-[MASKED]..x");
  check_masked("sk-ant-" + tail(20) + ".x", "sk-ant-[MASKED].x");
}

TEST_CASE("masker: a token begins at a boundary, an escape's end included") {
  const std::string key = "sk-" + tail(32);
  for (const char* before : {" ", "\"", "=", "-", "_", "/", "\\n", "\\r\\n", "\\t", "\\u0022",
                             "%3D", "\\x20", "\x1b[31m", "\x1b[1;31m", "\\u001b[31m", "\xc3\xa4"})
    check_masked(before + key, std::string(before) + "sk-[MASKED]");
  for (const char* before : {"di", "7", "X", "m", "Zn", "u0022", "[z1m"})
    check_untouched(before + key);
}

TEST_CASE("masker: a token within a token is one mask") {
  check_masked("glpat-" + tail(30) + "-glpat-" + tail(30) + "!", "glpat-[MASKED]!");
  check_masked("glpat-glpat-" + tail(20), "glpat-[MASKED]");
  check_masked("sk-glpat-" + tail(20), "sk-glpat-[MASKED]");
  std::string many;
  for (int i = 0; i < 40; ++i) many += "glpat-";
  check_untouched(many);
}

TEST_CASE("masker: the password of a URL is masked, whatever it is") {
  check_masked("https://oauth2:pw@gitlab.example.com/x.git",
               "https://oauth2:[MASKED]@gitlab.example.com/x.git");
  check_masked("redis://:p%40w@host:6379/0", "redis://:[MASKED]@host:6379/0");
  check_masked("a postgres://me:a:b$c@db and b", "a postgres://me:[MASKED]@db and b");
  check_masked("x://u:one@two@host/", "x://u:[MASKED]@host/");
  check_masked("x://u:one@two@host/ @", "x://u:[MASKED]@host/ @");
  check_masked("login gitlab-ci-token:pw7@host", "login gitlab-ci-token:[MASKED]@host");
  check_masked("https://gitlab-ci-token:pw7@host", "https://gitlab-ci-token:[MASKED]@host");
  check_masked("https://u:p\xc3\xa4ss@host", "https://u:[MASKED]@host");
  check_masked("a://b://c:d@e", "a://b://c:[MASKED]@e");
}

TEST_CASE("masker: a flood of what begins like a credential costs no more than its length") {
  Masker masker(MaskerPatterns::compile({}));
  for (const std::string flood : {"gitlab-ci-token:p@", "glpat-Ab3-",
                                  "-----BEGIN PRIVATE KEY-----a:", "://u:p@", "\n \n", "73 "}) {
    std::string text;
    while (text.size() < (1U << 20)) text += flood;
    std::string out;
    masker.write(text, out);
    masker.flush(out);
    CHECK(out.size() > 8);
  }
}

TEST_CASE("masker: what only looks like a URL with a password is left") {
  for (const char* text :
       {"http://localhost:8080/path@2", "https://user@example.com/x", "https://[::1]:80/@",
        "see http://host:80 and mail me@example.com", "https://u:$TOKEN@host",
        "https://u:${T}@host", "https://u:<token>@host", "https://u:[MASKED]@host",
        "https://u:***@host", "x://u:@host", "ssh://git@example.com:22/x", "\"http://a:1\",\"b@c\"",
        "std::vector<int>::at(x@y)", "gitlab-ci-token: none@all", "https://a:b#c@d",
        "https://a:b?c@d"})
    check_untouched(text);
  check_untouched("https://u:" + std::string(257, 'a') + "@host");
  check_untouched("https://" + std::string(129, 'a') + ":p@host");
}

TEST_CASE("masker: the body of a private key is masked, in lines and in a string") {
  for (const char* kind : {"PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY"}) {
    const std::string begin = "-----BEGIN " + std::string(kind) + "-----";
    const std::string end = "-----END " + std::string(kind) + "-----";
    check_masked(begin + "\n" + key_lines(4, "\n") + tail(20) + "==\n" + end + "\n",
                 begin + "\n[MASKED]\n" + end + "\n");
    check_masked("\"" + begin + "\\n" + key_lines(3, "\\n") + end + "\\n\"",
                 "\"" + begin + "\\n[MASKED]\\n" + end + "\\n\"");
    check_masked(begin + "\r\n  " + key_lines(2, "\r\n  ") + end,
                 begin + "\r\n  [MASKED]\r\n  " + end);
  }
  const std::string begin = "-----BEGIN RSA PRIVATE KEY-----\n";
  check_masked(
      begin + "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123\n\n" + key_lines(2, "\n"),
      begin + "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123\n\n[MASKED]\n");
}

TEST_CASE("masker: armour without a key, and keys that are public, are left") {
  const std::string pem = "-----BEGIN " + std::string("PRIVATE KEY-----");
  check_untouched("if (line == \"" + pem + "\") return;");
  check_untouched("It begins with " + pem + " and goes on with lines in base64.\n");
  check_untouched(pem + "\nMIIE...\n-----END PRIVATE KEY-----\n");
  check_untouched("-----BEGIN CERTIFICATE-----\n" + key_lines(4, "\n") +
                  "-----END CERTIFICATE-----\n");
  check_untouched("-----BEGIN PUBLIC KEY-----\n" + key_lines(4, "\n"));
  check_untouched("-----BEGIN " + std::string(60, 'A') + " PRIVATE KEY-----\n" +
                  key_lines(1, "\n"));
}

TEST_CASE("masker: a private key in a diff or a quoted mail is masked as well") {
  for (const char* margin : {"+", "-", "> ", " "}) {
    CAPTURE(margin);
    const std::string begin = std::string(margin) + "-----BEGIN PRIVATE" + " KEY-----\n";
    const std::string end = std::string(margin) + "-----END PRIVATE" + " KEY-----\n";
    std::string out;
    Masker masker(MaskerPatterns::compile({}));
    masker.write(begin + margin + tail(64) + "\n" + margin + tail(64) + "\n" + end, out);
    masker.flush(out);
    CHECK(out.find(tail(24)) == std::string::npos);
    CHECK(out.ends_with("-----END PRIVATE" + std::string(" KEY-----\n")));
  }
}

TEST_CASE("masker: a candidate is held back no longer than it is one") {
  Masker masker(MaskerPatterns::compile({}));
  const auto write = [&masker](const std::string& text) {
    std::string out;
    masker.write(text, out);
    return out;
  };
  CHECK(write("glpat-") == "glpat-");
  CHECK(write(tail(19)) == "");
  CHECK(write("!") == tail(19) + "!");
  CHECK(write("glpat-" + tail(20)) == "glpat-[MASKED]");
  CHECK(write("More") == "");
  CHECK(write(" https://user:") == " https://user:");
  CHECK(write("8080") == "");
  CHECK(write("/") == "8080/");
  CHECK(write("-----BEGIN PRIVATE KEY-----\n") == "-----BEGIN PRIVATE KEY-----\n");
  CHECK(write(tail(24)) == "[MASKED]");
  CHECK(write("\n") == "");
  // The margin of a diff, or the armour's end.
  CHECK(write("-") == "");
  CHECK(write("-") == "\n--");
}

TEST_CASE("masker: ordinary text stays as it is, byte for byte") {
  const std::vector<std::string> lines = {
      "const sk = require('sk-learn'); // disk-usage, task-runner, risk-free, desk-top\n",
      "class=\"sk-toggleable__label sk-estimator-doc-link fitted\" id=\"sk-container-id-1\"\n",
      "glpat-your-personal-access-token-goes-here glpat-xxxxxxxxxxxxxxxxxxxx glpat-<token>\n",
      "export TOKEN=glpat-$(cat file) GLPAT-ABCDEFGHIJKLMNOPQRSTUVWXYZ\n",
      "global glob glide glue single english ghosts github.com/owner/github_patches "
      "npm_config_cache\n",
      "AKIABLE ASIAN AIzawa KIASIA 0xAKIA\n",
      "Get:12 http://deb.example.org/debian bookworm/main amd64 libc6-dev amd64 2.36-9 [1,904 "
      "kB]\n",
      "npm http fetch GET 200 https://registry.example.org/@types%2fnode 1234ms (cache miss)\n",
      "  \"integrity\": \"sha512-9Sg0Wb5AKIA/ghp+sk/AIzaSk1348941glpat==\",\n",
      "Setting up python3-minimal (3.11.2-1+b1) ... done at 2026-11-25 21:44:59.123456789 +0000\n",
      "{\"type\":\"assistant\",\"id\":\"msg_01XyZ\",\"usage\":{\"input_tokens\":12345,\"cache\":0}}"
      "\n",
      "{\"file\":\"a\\nb\\\\n\",\"diff\":\"@@ -1,4 +1,4 @@\\n-old\\n+new\\u00e9\\u0022\\n\"}\n",
      "00000000: 7f45 4c46 0201 0100 0000 0000 0000 0000  .ELF............\n",
      "  uint8_t table[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,\n      0x08, 0x09};\n",
      "commit 8436e5b1c0ffee0123456789abcdef0123456789 (HEAD -> main, tag: v1.2.3)\n",
      "git clone https://gitlab.example.com:8443/group/project.git && git push origin HEAD:main\n",
      "see https://en.example.org/wiki/Foo_(bar)?a=b&c=d#e@f or mailto:someone@example.com\n",
      "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUQ\n-----END CERTIFICATE-----\n",
      "\x1b[1;32m+ added\x1b[0m \x1b[31m- removed\x1b[m \xe2\x9c\x93 \xf0\x9f\x9a\x80 \xff\xfe\n",
      "for (auto it = map.begin(); it != map.end(); ++it) sum += it->second * 1'000'000;\n",
  };
  // Secrets of the job change nothing: none is in there.
  Random random(5);
  std::vector<MaskedValue> values;
  for (int i = 0; i < 20; ++i)
    values.push_back(marked(random.text(12 + random.below(30), "abcXYZ019+/_-='\" \n")));
  const auto patterns = MaskerPatterns::compile(values);
  std::string text;
  for (const std::string& line : lines) {
    check_untouched(line);
    CHECK(mask_text(*patterns, line) == line);
  }
  for (int i = 0; i < 20'000; ++i) text += lines[random.below(lines.size())];
  for (std::size_t bytes : {std::size_t{1000}, std::size_t{65536}, text.size()}) {
    Masker masker(patterns);
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += bytes)
      masker.write(std::string_view(text).substr(at, bytes), out);
    masker.flush(out);
    CHECK((out == text));
  }
}
