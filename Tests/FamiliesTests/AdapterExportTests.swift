import Foundations
import Models
import Numerics
import Testing
import TestSupport

@testable import Families
@testable import Files

@Suite struct AdapterExportTests {
  private let target: TemporaryDirectory

  init() throws {
    target = try TemporaryDirectory()
  }

  private func settings(_ task: LearningTask, alpha: Double = 16) throws -> [String: JSONValue] {
    try AdapterExport(
      adaptation: LowRankAdaptation(rank: 2, alpha: alpha, targets: ["query", "value"]), task: task,
      baseModel: "/models/a \"b\""
    ).write([], to: target.path)
    let bytes = try #require(target.contents("adapter_config.json"))
    guard case .object(let members) = try JSONValue.parse(Array(bytes), throwing: HuggingFaceProblem.self) else {
      return [:]
    }
    return members
  }

  @Test func theSettings() throws {
    let settings = try settings(.classification)
    #expect(settings["peft_type"] == "LORA")
    #expect(settings["task_type"] == "SEQ_CLS")
    #expect(settings["r"] == 2)
    #expect(settings["lora_alpha"] == 16)
    #expect(settings["lora_dropout"] == .number("0.0"))
    #expect(settings["bias"] == "none")
    #expect(settings["inference_mode"] == true)
    #expect(settings["target_modules"] == .array(["query", "value"]))
    #expect(settings["modules_to_save"] == .array(["classifier", "score"]))
    #expect(settings["base_model_name_or_path"] == "/models/a \"b\"")
    #expect(settings["use_rslora"] == false)
    #expect(settings["use_dora"] == false)
  }

  @Test(arguments: [
    (LearningTask.multilabel, "SEQ_CLS"), (.regression, "SEQ_CLS"), (.tokenClassification, "TOKEN_CLS"),
    (.causalLanguageModel, "CAUSAL_LM"),
  ])
  func theTask(task: LearningTask, name: String) throws {
    #expect(try settings(task)["task_type"] == .string(name))
  }

  /// A layer of the head under a name that peft does not look for.
  @Test func aHeadOfSeveralModules() throws {
    try AdapterExport(
      adaptation: LowRankAdaptation(rank: 2, alpha: 2, targets: ["q_lin"]), task: .classification, baseModel: "m",
      headModules: DistilBERT.headModules
    ).write([], to: target.path)
    let bytes = try #require(target.contents("adapter_config.json"))
    guard case .object(let members) = try JSONValue.parse(Array(bytes), throwing: HuggingFaceProblem.self) else {
      return
    }
    #expect(members["modules_to_save"] == .array(["pre_classifier", "classifier", "score"]))
  }

  @Test func aLanguageModelSavesNoClassifier() throws {
    #expect(try settings(.causalLanguageModel)["modules_to_save"] == .null)
  }

  @Test func anAlphaThatIsNotAnInteger() throws {
    #expect(try settings(.classification, alpha: 0.5)["lora_alpha"] == .number("0.5"))
  }

  /// The names that peft 0.21 gives the adapters of `BertForSequenceClassification`.
  @Test func tensorsHavePEFTsNames() throws {
    let layer = "bert.encoder.layer.0.attention.self.query"
    let weight = Tensor<Float>([1, 2], shape: [1, 2])
    try AdapterExport(
      adaptation: LowRankAdaptation(rank: 1, alpha: 1, targets: ["query"]), task: .classification, baseModel: "b"
    ).write(
      ["\(layer).lora_A.weight", "\(layer).lora_B.weight", "classifier.weight"].map { SafetensorsTensor($0, weight) },
      to: target.file("adapter"))
    let file = try SafetensorsFile(path: target.file("adapter/adapter_model.safetensors"))
    #expect(
      Set(file.names) == [
        "base_model.model.\(layer).lora_A.weight", "base_model.model.\(layer).lora_B.weight",
        "base_model.model.classifier.weight",
      ])
    #expect(try file.tensor("base_model.model.classifier.weight", as: Float.self) == weight)
    #expect(file.header.metadata == ["format": "pt"])
  }
}
