# The guest image around the node, by the same script as everywhere (deploy/image/build.py), and what it will measure to.
{ pkgs, programs, source }:
let
  pins = builtins.fromTOML (builtins.readFile ../deploy/image/pins.toml);
  kernel = pkgs.fetchurl {
    url = "mirror://debian/${pins.kernel.path}";
    inherit (pins.kernel) sha256;
  };
in
rec {
  image = pkgs.runCommand "ringwall-image" { nativeBuildInputs = [ pkgs.python3 ]; } ''
    python3 ${source}/deploy/image/build.py --kernel-package ${kernel} \
      --init ${programs.init}/bin/ringwall-image-init --node ${programs.workload}/bin/ringwalld --out $out
  '';

  measurements = pkgs.runCommand "ringwall-measurements" { nativeBuildInputs = [ programs.client ]; } ''
    mkdir -p $out
    ringwall measure ${image}/image.json > $out/measurements.json
  '';
}
