# The guest image around the node, by the same script as everywhere (deploy/image/build.py), and what it will measure to.
{ pkgs, programs, source }:
let
  pins = builtins.fromTOML (builtins.readFile ../deploy/image/pins.toml);
  debian = pin: pkgs.fetchurl {
    # The name of a store path has no `~`.
    name = builtins.replaceStrings [ "~" ] [ "-" ] (baseNameOf pin.path);
    # The second address has the same bytes for good, when mirrors have them no more.
    urls = [ "mirror://debian/${pin.path}" "https://snapshot.debian.org/file/${pin.sha1}" ];
    inherit (pin) sha256;
  };
  kernel = debian pins.kernel;
  image = pkgs.runCommand "ringwall-image" { nativeBuildInputs = [ pkgs.python3 ]; } ''
    python3 ${source}/deploy/image/build.py --kernel-package ${kernel} \
      --init ${programs.init}/bin/ringwall-image-init --node ${programs.workload}/bin/ringwalld --out $out
  '';
  # SNP alone: registers of a TD depend on tables of a running one (docs/measurements.md), so they are no function of what is built.
  shapes = pkgs.writeText "measure.json" (builtins.toJSON {
    build_id = "ringwall-${programs.workload.version}";
    svn = 1;
    image = "${image}/image.json";
    snp = {
      firmware = "OVMF.amdsev.fd";
      models = [ "EPYC-v4" ];
      vcpus = [ 1 2 4 8 ];
    };
  });
in
{
  inherit image;

  measurements = pkgs.runCommand "ringwall-measurements" { nativeBuildInputs = [ programs.client pkgs.dpkg ]; } ''
    dpkg-deb --extract ${debian pins.firmware.snp} firmware
    cp ${shapes} measure.json
    cp firmware/${pins.firmware.snp.file} OVMF.amdsev.fd
    mkdir -p $out
    ringwall measure measure.json --out $out/measurements.toml --set $out/measurements.json
  '';
}
