import Datasets
import Files
import Foundation
import Foundations
import JobSpec
import Masking
import Models
import Numerics
import Protocol
import Synchronization
import TestSupport
import Testing

@testable import OwnerRole

/// Directories of owner and clients: what is in them, what is refused, and changes that are killed and taken up.
@Suite(.waiting, .timeLimit(.minutes(10))) struct DeploymentDirectoryTests {
  private let fixture: DeploymentFixture<Float>
  private let data: SmallData

  init() throws {
    fixture = try DeploymentFixture()
    data = try SmallData(in: fixture.directory)
  }

  /// Every file of a client's directory, with what is in those of tensors.
  private func content(_ client: String) throws -> (names: Set<String>, tensors: [String: [Float]]) {
    let root = fixture.given(client).root
    let names = try FileManager.default.contentsOfDirectory(atPath: root.path)
    var tensors: [String: [Float]] = [:]
    for name in names where name.hasSuffix(".safetensors") {
      for (tensor, values) in try SafetensorsFile(path: root.appending(path: name).path).tensors(as: Float.self) {
        tensors["\(name)/\(tensor)"] = values.elements
      }
    }
    return (Set(names), tensors)
  }

  /// Of a perceptron a client has no weight at all, of a transformer the tables that make token vectors, and nothing of the layers after them,
  /// folded gains included.
  @Test(arguments: TinyFamily.allCases) func aClientHasNoWeightThatItDoesNotNeed(_ family: TinyFamily) throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    _ = try fixture.deployed(try fixture.rowSource(data))
    let rows = try content("ward")
    #expect(rows.names == ["client.json", "masking.key", "standardization.safetensors"])
    #expect(Set(rows.tensors.keys) == ["standardization.safetensors/mean", "standardization.safetensors/scale"])

    let other = try DeploymentFixture<Float>()
    let second = HostStandIn<Float>(on: other.network)
    defer { second.shutDown() }
    let tokens = try TokenData(in: other.directory)
    let source = try other.source(
      try other.finishedRun(try TokenJob().changing { $0.family = family }.resolved(on: tokens)))
    _ = try other.deployed(source)
    let root = other.given("ward").root
    let file = try SafetensorsFile(path: root.appending(path: "embedding.safetensors").path)
    let norm: Set = ["norm.gain", "norm.shift"]
    let expected: Set<String> =
      switch family {
      case .bert, .roberta: norm.union(["words", "positions", "types"])
      case .distilbert: norm.union(["words", "positions"])
      case .electra: norm.union(["words", "positions", "types", "projection.weight", "projection.bias"])
      case .llama: ["words"]
      }
    #expect(Set(file.names) == expected)
    let names = Set(try FileManager.default.contentsOfDirectory(atPath: root.path))
    #expect(names == ["client.json", "masking.key", "embedding.safetensors"])
    // Nor any number of one, as text or as bytes.
    let model = try source.open()
    let bytes = try names.map { try Data(contentsOf: root.appending(path: $0)) }
    for specification in model.structure.parameters {
      let tensor: Tensor<Float> = try model.weights.tensor(specification)
      for value in tensor.elements.prefix(4) where value != 0 && value != 1 {
        let pattern = withUnsafeBytes(of: value.bitPattern.littleEndian) { Data($0) }
        #expect(bytes.allSatisfy { $0.firstRange(of: pattern) == nil }, "\(specification.name)")
      }
    }
  }

  @Test func filesAreTheirOwnersAlone() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let deployment = try fixture.deployed(try fixture.rowSource(data))
    let root = deployment.directory.root
    let names = FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String } ?? []
    #expect(names.contains("keys/1.key") && names.contains("clients/ward/masking.key"))
    for name in names {
      let mode = try FileManager.default.attributesOfItem(atPath: root.appending(path: name).path)[.posixPermissions]
      #expect((mode as? Int).map { $0 & 0o077 } == 0, "\(name)")
    }
    // No secret in what is not secret.
    let key = try Data(contentsOf: root.appending(path: "keys/1.key")).suffix(32)
    for name in names where !name.hasSuffix(".key") {
      let bytes = (try? Data(contentsOf: root.appending(path: name))) ?? Data()
      #expect(bytes.firstRange(of: key) == nil, "\(name)")
    }
  }

  // MARK: - Refusals

  @Test func anotherVersionOfTheFiles() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let deployment = try fixture.deployed(try fixture.rowSource(data))
    for file in [deployment.directory.record, fixture.given("ward").description] {
      let text = try String(contentsOf: file, encoding: .utf8)
      try Data(text.replacing("\"version\" : 1", with: "\"version\" : 9").utf8).write(to: file)
    }
    let error = #expect(throws: OwnerError.self) { _ = try deployment.directory.load() }
    #expect(error?.kind == .usage && error?.description.contains("version 9") == true)
    let other = #expect(throws: OwnerError.self) { _ = try fixture.given("ward").load() }
    #expect(other?.kind == .usage && other?.description.contains("version 9") == true)
  }

  @Test func damagedDirectoriesOfAClient() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let deployment = try fixture.deployed(try fixture.rowSource(data))
    let ward = fixture.given("ward")
    func open() throws {
      _ = try DeploymentClient<Float>(ward, own: fixture.clients[0].keys, compute: Compute(threads: 1))
    }
    try open()
    func damaged(_ file: String, _ damage: (inout Data) -> Void, _ kind: FailureKind) throws {
      let place = ward.root.appending(path: file)
      let before = try Data(contentsOf: place)
      var bytes = before
      damage(&bytes)
      try bytes.write(to: place)
      #expect(throws: (any Error).self, "\(file)") {
        do { try open() } catch let failure as any Failure {
          #expect(failure.kind == kind, "\(file): \(failure.description)")
          throw failure
        }
      }
      try before.write(to: place)
      chmod(place.path, 0o600)
    }
    try damaged("client.json", { $0 = Data($0.prefix(100)) }, .usage)
    try damaged("client.json", { $0 = Data() }, .usage)
    let columns = SmallData.columns
    for changes in [
      ["\"width\" : 8": "\"width\" : 9"], ["\"outputs\" : 3": "\"outputs\" : -3"],
      // Columns whose sum overflows, and ones that add up to the width.
      ["\"features\" : \(columns)": "\"features\" : \(Int.max)"],
      ["\"features\" : \(columns)": "\"features\" : \(columns + 10)", "\"padding\" : 1": "\"padding\" : -9"],
      ["\"padding\" : 1": "\"noise\" : -1, \"padding\" : 1"],
    ] {
      try damaged(
        "client.json",
        { bytes in
          let text = changes.reduce(String(decoding: bytes, as: UTF8.self)) { $0.replacing($1.key, with: $1.value) }
          #expect(Data(text.utf8) != bytes)
          bytes = Data(text.utf8)
        }, .usage)
    }
    try damaged("masking.key", { $0 = Data($0.dropLast()) }, .keyOrPermission)
    try damaged("masking.key", { $0[20] ^= 1 }, .keyOrPermission)
    try damaged("standardization.safetensors", { $0 = Data($0.dropLast(8)) }, .inputData)
    try FileManager.default.removeItem(at: ward.root.appending(path: "standardization.safetensors"))
    #expect(throws: OwnerError.self) { try open() }
    try fixture.handOut("ward", of: deployment)
    try open()
    chmod(ward.maskingKey.path, 0o644)
    #expect(throws: MaskingError.keyFileExposed(path: ward.maskingKey.path)) { try open() }
  }

  @Test func anotherClientsKey() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let deployment = try fixture.deployed(try fixture.rowSource(data))
    let error = #expect(throws: OwnerError.self) {
      _ = try DeploymentClient<Float>(
        fixture.given("ward"), own: fixture.clients[1].keys, compute: Compute(threads: 1))
    }
    #expect(error?.kind == .keyOrPermission)
    let owner = #expect(throws: OwnerError.self) {
      _ = try Deployment<Float>(opening: deployment.directory, owner: fixture.clients[0].keys)
    }
    #expect(owner?.kind == .keyOrPermission)
    // The directory of one deployment with the masking key of another.
    let second = try fixture.newDeployment(of: try fixture.source(fixture.directory.url("run")), in: "second")
    try? FileManager.default.removeItem(at: fixture.given("ward").maskingKey)
    try MasterKeyFile(path: fixture.given("ward").maskingKey.path).write(second.directory.key(1, of: second.record.id))
    #expect(throws: MaskingError.keyFileOfAnotherJob(path: fixture.given("ward").maskingKey.path)) {
      _ = try DeploymentClient<Float>(
        fixture.given("ward"), own: fixture.clients[0].keys, compute: Compute(threads: 1))
    }
  }

  @Test func columnsThatDoNotMatchByName() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let names = (0..<SmallData.columns).map { "gene \($0)" }
    let run = try fixture.finishedRun(SmallJob().resolved(on: data))
    try DataNames(columns: names, classes: nil, rows: nil).write(to: run.appending(path: "model/names.json"))
    let deployment = try fixture.deployed(try fixture.source(run))
    let error = #expect(throws: OwnerError.self) { try fixture.query(deployment, data.file, to: "answers.h5") }
    #expect(error?.kind == .inputData && error?.description.contains("no names of columns") == true)
    let narrow = #expect(throws: OwnerError.self) {
      try fixture.query(deployment, data.file, to: "answers.h5", features: "targets")
    }
    #expect(narrow?.kind == .inputData)
    host.state.withLock { #expect($0.asked == 0) }
  }

  @Test func samplesThatAreTooLong() throws {
    let host = HostStandIn<Float>(on: fixture.network)
    defer { host.shutDown() }
    let tokens = try TokenData(in: fixture.directory)
    let run = try fixture.finishedRun(try TokenJob().resolved(on: tokens))
    let deployment = try fixture.deployed(try fixture.source(run, maximumTokens: 4))
    let error = #expect(throws: OwnerError.self) { try fixture.query(deployment, tokens.file, to: "answers.h5") }
    #expect(error?.kind == .inputData && error?.description.contains("at most 4") == true)
    #expect(throws: OwnerError.self) {
      _ = try fixture.source(run, maximumTokens: TinyCheckpoint.positions + 1).open()
    }
  }
}
