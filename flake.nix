# What is published, built with Nix: `nix build .#workload`, `.#image`, `.#measurements`, and `nix develop`.
#
# What was evaluated: everything here, against a stub of the parts of nixpkgs it uses (nix/stub, `cargo xtask flake`), with Nix 2.8: names, arguments, files and
# digests fit together. What was not: no derivation was ever built, and nixpkgs itself was never fetched. The lock's revision and digest of
# nixpkgs are as others published them for that revision; a machine with a network finds out at its first `nix build`, and Nix refuses other bytes.
# What these builds give was therefore never compared with what `cargo xtask repro` builds (docs/reproducible.md).
{
  description = "Ringwall: a state store whose operator cannot read it";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs = { self, nixpkgs }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system};
      toolchain = import ./nix/toolchain.nix { inherit pkgs; };
      programs = import ./nix/programs.nix { inherit pkgs toolchain; source = self; };
      image = import ./nix/image.nix { inherit pkgs programs; source = self; };
    in
    {
      packages.${system} = {
        inherit (programs) workload client init;
        inherit (image) image measurements;
        default = programs.workload;
      };

      devShells.${system}.default = pkgs.mkShell {
        packages = [ toolchain pkgs.gcc pkgs.python3 pkgs.qemu pkgs.e2fsprogs ];
      };
    };
}
