import Foundations
import Models
import Foundation
import Synchronization
import Numerics
import Testing
import TestSupport

@testable import Families
@testable import Files

@Suite struct HuggingFaceExportTests {
  private let target: TemporaryDirectory

  init() throws {
    target = try TemporaryDirectory()
  }

  private func configuration(_ export: HuggingFaceExport, of fixture: ModelFixture) throws -> [String: JSONValue] {
    try export.write([], original: fixture.open(), to: target.path)
    let bytes = try #require(target.contents("config.json"))
    guard case .object(let members) = try JSONValue.parse(Array(bytes), throwing: HuggingFaceProblem.self) else {
      return [:]
    }
    return members
  }

  private func fixture(_ settings: [String: JSONValue], changing changes: [String: JSONValue] = [:]) throws
    -> ModelFixture
  {
    let fixture = try ModelFixture(settings, changing: changes)
    try fixture.writeWeights(fixture.tensors())
    return fixture
  }

  @Test(
    arguments: [
      ("bert", LearningTask.classification, "BertForSequenceClassification"),
      ("bert", .multilabel, "BertForSequenceClassification"), ("bert", .regression, "BertForSequenceClassification"),
      ("bert", .tokenClassification, "BertForTokenClassification"), ("bert", .causalLanguageModel, nil),
      ("llama", .classification, "LlamaForSequenceClassification"),
      ("llama", .regression, "LlamaForSequenceClassification"),
      ("llama", .tokenClassification, "LlamaForTokenClassification"),
      ("llama", .causalLanguageModel, "LlamaForCausalLM"),
    ] as [(String, LearningTask, String?)])
  func theClassThatLoadsAModel(family: String, task: LearningTask, name: String?) throws {
    let family = try #require(ModelFamilies.all.first { $0.name == family })
    #expect(family.libraryClass(task) == name)
  }

  @Test func theConfigurationOfAClassifier() throws {
    let original = try fixture(ModelFixture.bert)
    let settings = try configuration(
      HuggingFaceExport(
        libraryClass: "BertForSequenceClassification", task: .classification, outputs: 2, classNames: ["no", "yes"],
        tiesWordEmbeddings: true), of: original)
    var expected = ModelFixture.bert
    expected["num_labels"] = nil
    expected["architectures"] = .array(["BertForSequenceClassification"])
    expected["problem_type"] = "single_label_classification"
    expected["id2label"] = .object(["0": "no", "1": "yes"])
    expected["label2id"] = .object(["no": 0, "yes": 1])
    expected["tie_word_embeddings"] = true
    expected["dtype"] = "float32"
    expected["torch_dtype"] = "float32"
    #expect(settings == expected)
  }

  @Test func classesWithoutNames() throws {
    let settings = try configuration(
      HuggingFaceExport(
        libraryClass: "BertForSequenceClassification", task: .multilabel, outputs: 2, classNames: nil,
        tiesWordEmbeddings: true), of: fixture(ModelFixture.bert))
    #expect(settings["id2label"] == .object(["0": "LABEL_0", "1": "LABEL_1"]))
    #expect(settings["label2id"] == .object(["LABEL_0": 0, "LABEL_1": 1]))
    #expect(settings["problem_type"] == "multi_label_classification")
  }

  @Test func theConfigurationOfALanguageModel() throws {
    let original = try fixture(
      ModelFixture.llama, changing: ["tie_word_embeddings": true, "problem_type": "regression", "_name_or_path": "a/b"])
    let settings = try configuration(
      HuggingFaceExport(
        libraryClass: "LlamaForCausalLM", task: .causalLanguageModel, outputs: 6, classNames: nil,
        tiesWordEmbeddings: false), of: original)
    #expect(settings["architectures"] == .array(["LlamaForCausalLM"]))
    #expect(settings["tie_word_embeddings"] == false)
    #expect(settings["problem_type"] == nil)
    #expect(settings["id2label"] == nil)
    #expect(settings["_name_or_path"] == nil)
    #expect(settings["rope_theta"] == .number("10000.0"))
  }

  @Test func aPaddingTokenIsAddedButNotChanged() throws {
    let export = HuggingFaceExport(
      libraryClass: "LlamaForSequenceClassification", task: .classification, outputs: 2, classNames: nil,
      tiesWordEmbeddings: false, paddingToken: 3)
    #expect(try configuration(export, of: fixture(ModelFixture.llama))["pad_token_id"] == 3)
    #expect(
      try configuration(export, of: fixture(ModelFixture.llama, changing: ["pad_token_id": .null]))["pad_token_id"] == 3
    )
    #expect(
      try configuration(export, of: fixture(ModelFixture.llama, changing: ["pad_token_id": 5]))["pad_token_id"] == 5)
  }

  @Test func theWeightsAreReadBackAsTheSameModel() throws {
    let original = try fixture(ModelFixture.bert, changing: ["num_labels": .null])
    let source = try original.open()
    let classifier = Tensor<Float>([0.5, -1, 2, 3], shape: [1, 4])
    var tensors = try source.names.map { (name) throws(FileError) in try source.copy(of: name) }
    tensors.append(SafetensorsTensor("classifier.weight", classifier))
    try HuggingFaceExport(
      libraryClass: "BertForTokenClassification", task: .tokenClassification, outputs: 1, classNames: nil,
      tiesWordEmbeddings: true
    ).write(tensors, original: source, to: target.file("deep/er"))
    let written = try HuggingFaceDirectory(target.file("deep/er"))
    try written.check(
      expected: original.descriptions() + [TensorDescription(name: "classifier.weight", shape: [1, 4])])
    for name in source.names {
      #expect(try written.tensor(named: name, as: Float.self) == source.tensor(named: name))
    }
    #expect(try written.tensor(named: "classifier.weight") == classifier)
    #expect(try SafetensorsFile(path: target.file("deep/er/model.safetensors")).header.metadata == ["format": "pt"])
  }

  /// A tensor is made when those before it are in the file: one is alive at a time.
  @Test func tensorsAreMadeOneAfterTheOther() throws {
    let original = try fixture(ModelFixture.bert)
    let log = Mutex<[Int]>([])
    let tensors = (0..<3).map { index in
      SafetensorsTensor(name: "t\(index)", type: .float32, shape: [2]) { (writer) throws(FileError) in
        let made = Tensor<Float>(repeating: Float(index), shape: [2])
        log.withLock { $0.append(writer.offset) }
        try made.withUnsafeBufferPointer { (buffer) throws(FileError) in
          try writer.write(UnsafeRawBufferPointer(buffer))
        }
      }
    }
    try HuggingFaceExport(
      libraryClass: "BertForSequenceClassification", task: .regression, outputs: 1, classNames: nil,
      tiesWordEmbeddings: true
    ).write(tensors, original: original.open(), to: target.path)
    let offsets = log.withLock { $0 }
    #expect(offsets.map { $0 - offsets[0] } == [0, 8, 16])
  }

  @Test func tokenizerFilesAreCopied() throws {
    let original = try fixture(ModelFixture.bert)
    for name in [
      "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json",
      "other.txt",
    ] {
      try original.write("content of \(name)", to: name)
    }
    // Longer than a piece of the copy.
    try original.write(String(repeating: "x", count: (1 << 20) + 5), to: "vocab.txt")
    _ = try configuration(
      HuggingFaceExport(
        libraryClass: "BertForSequenceClassification", task: .regression, outputs: 1, classNames: nil,
        tiesWordEmbeddings: true), of: original)
    #expect(
      try target.names == [
        "config.json", "merges.txt", "model.safetensors", "special_tokens_map.json", "tokenizer.json",
        "tokenizer_config.json", "vocab.json", "vocab.txt",
      ])
    #expect(target.contents("tokenizer.json") == Data("content of tokenizer.json".utf8))
    #expect(target.contents("vocab.txt") == original.directory.contents("vocab.txt"))
  }

  /// A directory with a config.json is complete.
  @Test func anExportThatFailsLeavesNoConfiguration() throws {
    let original = try fixture(ModelFixture.bert)
    let failing = SafetensorsTensor(name: "t", type: .float32, shape: [2]) { (_) throws(FileError) in
      throw .system(.write, path: "t", code: ENOSPC)
    }
    #expect(throws: FileError.self) {
      try HuggingFaceExport(
        libraryClass: "BertForSequenceClassification", task: .regression, outputs: 1, classNames: nil,
        tiesWordEmbeddings: true
      ).write([failing], original: original.open(), to: target.path)
    }
    #expect(try target.names.isEmpty)
  }

  @Test func aCopyOfATensorThatIsNotThere() throws {
    let source = try fixture(ModelFixture.bert).open()
    _ = try expectProblem(.missingTensor("classifier.weight")) { _ = try source.copy(of: "classifier.weight") }
  }
}
