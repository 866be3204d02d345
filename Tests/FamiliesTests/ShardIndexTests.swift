import Foundations
import Foundation
import Numerics
import Testing
import TestSupport

@testable import Families
@testable import Files

/// Sharded weights that are refused.
@Suite struct ShardIndexTests {
  private let fixture: ModelFixture

  init() throws {
    fixture = try ModelFixture(ModelFixture.llama)
  }

  private static let name = "model.norm.weight"

  private func shard(_ name: String, _ tensors: [String]) throws {
    try SafetensorsFile.write(
      tensors.map { SafetensorsTensor($0, Tensor<Float>(zeros: [8])) }, to: fixture.directory.file(name))
  }

  @Test(arguments: [
    "../model.safetensors", "/tmp/model.safetensors", "a/b.safetensors", "..", "", ".safetensors", "model.bin",
    "./model-1.safetensors", "model\u{0}.safetensors",
  ])
  func aShardOutsideOfTheDirectory(shard: String) throws {
    try fixture.writeIndex([Self.name: .string(shard)])
    let problem = try expectProblem { _ = try fixture.open() }
    guard case .shardName = problem else {
      Issue.record("\(problem)")
      return
    }
  }

  @Test func aShardThatIsNotThere() throws {
    try fixture.writeIndex([Self.name: "model-1.safetensors"])
    let error = #expect(throws: FileError.self) { try fixture.open() }
    #expect(error == .system(.open, path: fixture.directory.file("model-1.safetensors"), code: ENOENT))
  }

  @Test func aTensorThatIsNotInItsShard() throws {
    try shard("a.safetensors", [Self.name])
    try shard("b.safetensors", ["model.layers.0.input_layernorm.weight"])
    try fixture.writeIndex([
      Self.name: "b.safetensors", "model.layers.0.input_layernorm.weight": "b.safetensors",
    ])
    _ = try expectProblem(.notInShard(tensor: Self.name, shard: "b.safetensors")) { _ = try fixture.open() }
  }

  @Test func aTensorThatTheIndexLeavesOut() throws {
    try shard("a.safetensors", [Self.name, "model.more"])
    try fixture.writeIndex([Self.name: "a.safetensors"])
    _ = try expectProblem(.notInIndex(tensor: "model.more", shard: "a.safetensors")) { _ = try fixture.open() }
  }

  @Test func twoSpellingsInTwoShards() throws {
    try shard("a.safetensors", [Self.name])
    try shard("b.safetensors", ["norm.weight"])
    try fixture.writeIndex([Self.name: "a.safetensors", "norm.weight": "b.safetensors"])
    _ = try expectProblem(.spelledTwice(Self.name)) { _ = try fixture.open() }
  }

  @Test(arguments: ["[]", "{}", "{\"weight_map\": []}", "{\"weight_map\": {}}", "{\"weight_map\": {\"a\": 1}}"])
  func anIndexThatIsNone(text: String) throws {
    try fixture.write(text, to: "model.safetensors.index.json")
    _ = try expectProblem(.notAnIndex) { _ = try fixture.open() }
  }

  @Test func anIndexThatIsNotJSON() throws {
    try fixture.write("{", to: "model.safetensors.index.json")
    guard case .json = try expectProblem(nil, { _ = try fixture.open() }) else {
      Issue.record("another problem")
      return
    }
  }

  @Test func tooManyShards() throws {
    try fixture.writeIndex(
      Dictionary(uniqueKeysWithValues: (0...4096).map { ("t\($0)", JSONValue.string("\($0).safetensors")) }))
    _ = try expectProblem(.tooManyShards(limit: 4096)) { _ = try fixture.open() }
  }

  @Test func aTruncatedShard() throws {
    try shard("a.safetensors", [Self.name])
    try fixture.writeIndex([Self.name: "a.safetensors"])
    let path = fixture.directory.file("a.safetensors")
    #expect(truncate(path, 90) == 0)
    let error = #expect(throws: FileError.self) { try fixture.open() }
    guard case .safetensors(path, _)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }
}
