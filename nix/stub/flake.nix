# The parts of nixpkgs that ../../flake.nix uses, with the arguments they demand there and no more: what is evaluated against it is checked for names, types and
# missing arguments. Nothing it makes can be built.
{
  outputs = { self }:
    let
      made = name: arguments: derivation {
        inherit name;
        system = "x86_64-linux";
        builder = "/nothing/is/built";
        # Forces every argument: a missing name or file is found now.
        arguments = builtins.toJSON (builtins.mapAttrs (_: value: if builtins.isAttrs value && !(value ? outPath) then builtins.deepSeq value "a set" else value) arguments);
      };
      package = name: made name { };
      digest = sha256: assert builtins.match "[0-9a-f]{64}" sha256 != null; sha256;
      locked = { lockFile }: map (entry: assert !(entry ? source) || entry ? checksum; entry.name) (builtins.fromTOML (builtins.readFile lockFile)).package;
      rustPackage = { cargo, rustc }: arguments@{ pname, version, src, cargoLock, doCheck, buildInputs, RUSTFLAGS, ... }:
        made "${pname}-${version}" (arguments // { cargoLock = locked cargoLock; inherit cargo rustc; }) // { inherit version; };
    in
    {
      legacyPackages.x86_64-linux = {
        # As there: without a name, the address's last part is one, whatever characters it has.
        fetchurl = { urls ? [ url ], url ? builtins.head urls, name ? baseNameOf url, sha256 }: made name { inherit urls; sha256 = digest sha256; };
        stdenv = {
          mkDerivation = arguments@{ pname, version, src, ... }: made "${pname}-${version}" arguments;
          cc.cc.lib = package "gcc-lib";
        };
        makeRustPlatform = tools: { buildRustPackage = rustPackage tools; };
        runCommand = name: arguments@{ nativeBuildInputs, ... }: script: made name (arguments // { inherit script; });
        writeText = name: text: made name { inherit text; };
        mkShell = { packages }: made "shell" { inherit packages; };
        autoPatchelfHook = package "auto-patchelf-hook";
        glibc.static = package "glibc-static";
        gcc = package "gcc";
        python3 = package "python3";
        qemu = package "qemu";
        e2fsprogs = package "e2fsprogs";
        dpkg = package "dpkg";
        zlib = package "zlib";
      };
    };
}
