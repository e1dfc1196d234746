// Tools of the Sigstore community that share no code with Ringwall: their mock services, their signer, their verifier.
//
//   node tool.mjs serve FOLDER                 serves Fulcio, Rekor (1 and 2) and a timestamp authority on loopback until standard input ends; prints
//                                              one line of JSON with their addresses and writes their trusted root to FOLDER/root.json
//   node tool.mjs sign STATEMENT OUT TOKEN ADDRESSES          their keyless signature over a statement, logged and stamped
//   node tool.mjs verify BUNDLE ROOT {"key": PEM} | {"identity": ..., "issuer": ...}   exit code 0 when their verifier accepts, 1 when it does not
//
// The mock services take requests in forms that the real ones do not have; `adapted` turns what the real ones take (and what both clients send) into them,
// and writes entries as a real Rekor does. Used by tests/tests/sigstore.rs alone.
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import * as asn1js from 'asn1js';
import { bundleFromJSON, bundleToJSON } from '@sigstore/bundle';
import mock from '@sigstore/mock';
import { HashAlgorithm, PublicKeyDetails, TransparencyLogEntry, TrustedRoot } from '@sigstore/protobuf-specs';
import { DSSEBundleBuilder, FulcioSigner, RekorWitness, TSAWitness } from '@sigstore/sign';
import { toSignedEntity, toTrustMaterial, Verifier } from '@sigstore/verify';

const BODY_BYTES = 1 << 20;
const base64 = (bytes) => Buffer.from(bytes).toString('base64');
const sha256 = (bytes) => createHash('sha256').update(bytes).digest();

// A certificate request: the services take base64 of PEM, the mock takes PEM.
function certificateRequest(body) {
  const asked = JSON.parse(body);
  if (asked.certificateSigningRequest) {
    asked.certificateSigningRequest = Buffer.from(asked.certificateSigningRequest, 'base64').toString();
  }
  return JSON.stringify(asked);
}

// An entry of Rekor 1: what is proposed has the envelope, what is logged its hashes.
function entryOfOne(body) {
  const { envelope, verifiers } = JSON.parse(body).spec.proposedContent;
  const parsed = JSON.parse(envelope);
  const hash = (bytes) => ({ algorithm: 'sha256', value: sha256(bytes).toString('hex') });
  return JSON.stringify({
    apiVersion: '0.0.1',
    kind: 'dsse',
    spec: {
      envelopeHash: hash(envelope),
      payloadHash: hash(Buffer.from(parsed.payload, 'base64')),
      signatures: parsed.signatures.map((signature) => ({ signature: signature.sig, verifier: verifiers[0] })),
    },
  });
}

// An entry of Rekor 2, in the form in which it is logged.
function entryOfTwo(body) {
  const { envelope, verifiers } = JSON.parse(body).dsseRequestV002;
  return {
    apiVersion: '0.0.2',
    kind: 'dsse',
    spec: {
      dsseV002: {
        payloadHash: { algorithm: 'SHA2_256', digest: base64(sha256(Buffer.from(envelope.payload, 'base64'))) },
        signatures: envelope.signatures.map((signature) => ({ content: signature.sig, verifier: verifiers[0] })),
      },
    },
  };
}

// A request for a timestamp: DER by RFC 3161, or JSON already.
function stampRequest(body, type) {
  if (type === 'application/json') return body;
  const { result } = asn1js.fromBER(body);
  const [algorithm, hash] = result.valueBlock.value[1].valueBlock.value;
  if (algorithm.valueBlock.value[0].valueBlock.toString() !== '2.16.840.1.101.3.4.2.1') throw new Error('SHA-256 is wanted');
  const whole = result.valueBlock.value.slice(2).some((part) => part instanceof asn1js.Boolean && part.valueBlock.value);
  return JSON.stringify({ artifactHash: base64(hash.valueBlock.valueHexView), hashAlgorithm: 'sha256', certificates: whole });
}

async function serve(folder) {
  const pair = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const ctlog = await mock.initializeCTLog(pair());
  const ca = await mock.initializeCA(pair(), ctlog);
  const tsa = await mock.initializeTSA(pair());
  // their verifier reads whole seconds alone
  tsa.getCurrentTime = () => new Date(Math.floor(Date.now() / 1000) * 1000);
  const [one, two] = [await mock.initializeTLog('http://rekor.example', pair()), await mock.initializeTLog('http://tiles.example', pair())];
  const sign = mock.fulcioHandler(ca);
  const log = mock.rekorHandler(one);
  const stamp = mock.tsaHandler(tsa);
  const doors = {
    '/api/v2/signingCert': (body) => sign.fn(certificateRequest(body)),
    '/api/v1/log/entries': (body) => log.fn(entryOfOne(body)),
    '/api/v2/log/entries': async (body) => {
      // the mock's trees have one entry, and it says another place and a root that its own checkpoint does not have
      const { inclusionProof, ...entry } = await two.logV2(entryOfTwo(body));
      const rootHash = Buffer.from(inclusionProof.checkpoint.envelope.split('\n')[2], 'base64');
      const placed = { ...entry, integratedTime: '0', logIndex: '0', inclusionProof: { ...inclusionProof, logIndex: '0', rootHash } };
      return { statusCode: 201, response: JSON.stringify(TransparencyLogEntry.toJSON(placed)) };
    },
    '/api/v1/timestamp': (body, type) => stamp.fn(stampRequest(body, type)),
  };
  const server = createServer((request, response) => {
    const parts = [];
    let size = 0;
    request.on('data', (part) => ((size += part.length) > BODY_BYTES ? request.destroy() : parts.push(part)));
    request.on('end', async () => {
      try {
        const answer = await doors[request.url](Buffer.concat(parts), request.headers['content-type']);
        response.writeHead(answer.statusCode, { 'content-type': answer.contentType ?? 'application/json' }).end(answer.response);
      } catch (fault) {
        response.writeHead(400).end(String(fault));
      }
    });
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  const from = { start: new Date(Date.now() - 60_000) };
  const logged = (name, log) => ({
    baseUrl: `http://${name}`,
    hashAlgorithm: HashAlgorithm.SHA2_256,
    publicKey: { rawBytes: log.publicKey, keyDetails: PublicKeyDetails.PKIX_ECDSA_P256_SHA_256, validFor: from },
    logId: { keyId: log.logID ? Buffer.from(log.logID) : sha256(log.publicKey) },
  });
  const authority = (certificates) => ({
    subject: { commonName: 'sigstore', organization: 'sigstore.mock' },
    uri: 'http://sigstore.mock',
    certChain: { certificates: certificates.map((der) => ({ rawBytes: Buffer.from(der) })) },
    validFor: from,
  });
  const root = {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [logged('rekor.example', one), logged('tiles.example', two)],
    ctlogs: [logged('ctfe.example', ctlog)],
    certificateAuthorities: [authority([ca.rootCertificate])],
    timestampAuthorities: [authority([tsa.intCertificate, tsa.rootCertificate])],
  };
  writeFileSync(join(folder, 'root.json'), JSON.stringify(TrustedRoot.toJSON(root)));
  const url = `http://127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ fulcio: url, rekor: url, tsa: `${url}/api/v1/timestamp`, url }));
  process.stdin.resume().on('end', () => process.exit(0));
}

async function sign(statement, out, token, url, version) {
  const signer = new FulcioSigner({ fulcioBaseURL: url, identityProvider: { getToken: async () => readFileSync(token, 'utf8').trim() } });
  const witnesses = [
    new RekorWitness({ rekorBaseURL: url, majorApiVersion: Number(version), entryType: 'dsse' }),
    new TSAWitness({ tsaBaseURL: url }),
  ];
  const bundle = await new DSSEBundleBuilder({ signer, witnesses }).create({ data: readFileSync(statement), type: 'application/vnd.in-toto+json' });
  writeFileSync(out, JSON.stringify(bundleToJSON(bundle)));
}

function verify(file, rootFile, wanted) {
  const { key, identity, issuer } = JSON.parse(wanted);
  const bundle = bundleFromJSON(JSON.parse(readFileSync(file, 'utf8')));
  const root = TrustedRoot.fromJSON(JSON.parse(readFileSync(rootFile, 'utf8')));
  const keys = () => ({ publicKey: createPublicKey(readFileSync(key, 'utf8')), validFor: () => true });
  const material = toTrustMaterial(root, keys);
  const verifier = new Verifier(material, { tlogThreshold: 1, ctlogThreshold: identity ? 1 : 0, timestampThreshold: 1 });
  verifier.verify(toSignedEntity(bundle), identity && { subjectAlternativeName: identity, extensions: { issuer } });
}

const [what, ...rest] = process.argv.slice(2);
try {
  if (what === 'serve') await serve(...rest);
  else if (what === 'sign') await sign(...rest);
  else if (what === 'verify') verify(...rest);
  else throw new Error('serve, sign or verify');
} catch (fault) {
  console.error(`${fault.code ?? fault.name}: ${fault.message}`);
  process.exit(1);
}
