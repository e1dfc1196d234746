# The programs, linked statically, so that what runs does not depend on a machine's libraries: ringwalld (`workload`), ringwall (`client`), the image's init.
{ pkgs, toolchain, source }:
let
  platform = pkgs.makeRustPlatform { cargo = toolchain; rustc = toolchain; };
  static = "-C target-feature=+crt-static --remap-path-prefix=/build=/ringwall";
  program = { package, binary }: platform.buildRustPackage {
    pname = binary;
    version = (builtins.fromTOML (builtins.readFile ../Cargo.toml)).workspace.package.version;
    src = source;
    cargoLock.lockFile = ../Cargo.lock;
    cargoBuildFlags = [ "-p" package "--bin" binary ];
    # Tests need more than a build does, and run elsewhere (.ci/run).
    doCheck = false;
    buildInputs = [ pkgs.glibc.static ];
    RUSTFLAGS = static;
    CFLAGS = "-ffile-prefix-map=/build=/ringwall";
    SOURCE_DATE_EPOCH = "1767225600";
  };
in
{
  workload = program { package = "ringwall-node"; binary = "ringwalld"; };
  client = program { package = "ringwall-client"; binary = "ringwall"; };
  init = platform.buildRustPackage {
    pname = "ringwall-image-init";
    version = (builtins.fromTOML (builtins.readFile ../deploy/image/init/Cargo.toml)).package.version;
    src = ../deploy/image/init;
    cargoLock.lockFile = ../deploy/image/init/Cargo.lock;
    doCheck = false;
    buildInputs = [ pkgs.glibc.static ];
    RUSTFLAGS = static;
    SOURCE_DATE_EPOCH = "1767225600";
  };
}
