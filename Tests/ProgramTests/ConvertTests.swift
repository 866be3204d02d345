import Foundation
import TestSupport
import Testing

/// `encryptor convert` hands over to Python: here to a stand-in that says what it was given. What the script makes of checkpoints is checked with
/// PyTorch by jobs/checks/convert.py.
@Suite(.waiting)
struct ConvertTests {
  private let site: Site

  init() throws {
    site = try Site()
    try site.write("#!/bin/sh\nprintf '%s\\n' \"$@\"\necho problem >&2\nexit 3\n", to: "python")
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: site["python"])
  }

  private func convert(python: String, _ arguments: String...) throws -> Ended {
    try site.end(try site.start(.encryptor, ["convert"] + arguments, environment: ["EQUIVARIANT_PYTHON": python]))
  }

  @Test func theScriptsOutputAndExitCodeAreTheCommands() throws {
    let ended = try convert(python: site["python"], "--model-type", "bert", "--out", "new one", "--", "-old")
    #expect(ended.code == 3)
    var lines = ended.output.split(separator: "\n").map(String.init)
    #expect(lines.removeFirst().hasSuffix("/jobs/prepare/convert.py"))
    #expect(lines == ["--model-type=bert", "--out=new one", "--", "-old"])
    #expect(ended.errors == "problem\n")
  }

  @Test func aPythonThatIsNoneIsNamed() throws {
    try convert(python: site["none"], "old", "--out", "new")
      .expectRefusal(2, saying: "EQUIVARIANT_PYTHON names", site["none"])
    try site.write("no program", to: "text")
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: site["text"])
    try convert(python: site["text"], "old", "--out", "new").expectRefusal(2, saying: "cannot be started")
  }

  /// The error of a checkpoint that only `convert` reads says how.
  @Test func aPickledCheckpointIsRefusedWithTheCommand() throws {
    try TokenFiles().write(to: site)
    try FileManager.default.moveItem(atPath: site["bert/model.safetensors"], toPath: site["bert/pytorch_model.bin"])
    try site.write(
      """
      name: tokens
      data: {file: tokens.h5, tokens: ids, mask: mask, labels: labels, split: {validation: 0.25, seed: 7}}
      task: classification
      model: {huggingface: bert}
      masking: {base_model: private}
      loss: {where: owner}
      optimizer: {name: sgd, lr: 0.05}
      train: {epochs: 1, batch: 8}
      """, to: "tokens.yaml")
    try site.encryptor("plan", "tokens.yaml")
      .expectRefusal(3, saying: "encryptor convert", "bert --out DIR", "without executing any")
  }
}
