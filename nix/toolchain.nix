# The Rust toolchain that rust-toolchain.toml names, from the project's own tarball: digests are those of its release manifest of 2026-04-16.
{ pkgs }:
let
  wanted = (builtins.fromTOML (builtins.readFile ../rust-toolchain.toml)).toolchain.channel;
  version = "1.95.0";
  tarball = pkgs.fetchurl {
    url = "https://static.rust-lang.org/dist/2026-04-16/rust-${version}-x86_64-unknown-linux-gnu.tar.xz";
    sha256 = "2e0338f18ecbaa4a0f631b9e80e8b8e26bb6fe77dd5454fba8a70cf96c1e84a1";
  };
in
assert wanted == version;
pkgs.stdenv.mkDerivation {
  pname = "rust-toolchain";
  inherit version;
  src = tarball;
  nativeBuildInputs = [ pkgs.autoPatchelfHook ];
  buildInputs = [ pkgs.zlib pkgs.stdenv.cc.cc.lib ];
  dontConfigure = true;
  dontBuild = true;
  dontStrip = true;
  installPhase = ''
    patchShebangs install.sh
    ./install.sh --prefix=$out --disable-ldconfig --components=rustc,cargo,clippy-preview,rustfmt-preview,rust-std-x86_64-unknown-linux-gnu
  '';
}
