import Foundation
import Foundations
import Masking
import Models
import Numerics
import OwnerRole

/// Input bytes as the client.json of a deployment's client. What is taken masks two rows, and unmasks an answer, where it is small.
enum ClientInput {
  private static let compute = Compute(threads: 1)

  static func run(_ input: Data) {
    guard let description = try? JSONDecoder().decode(ClientDescription.self, from: input),
      (try? description.check(URL(filePath: "client.json"))) != nil
    else { return }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    guard let document = try? encoder.encode(description) else {
      preconditionFailure("a client that cannot be written")
    }
    precondition(
      (try? JSONDecoder().decode(ClientDescription.self, from: document)) == description,
      "a client changed when it was written")
    let shape = description.shape
    guard max(shape.input.width, shape.output.width) <= 64 else { return }
    let master = MasterKey(for: description.deployment)
    let keys = JobKeys<Float>(master: master, plan: shape.keyPlan, compute: compute)
    let columns = shape.input.homogeneous?.features ?? shape.input.width
    var rows = Tensor<Float>(repeating: 0.5, shape: [2, columns])
    try? InputNoise(shape.masking, master: master, for: .prediction)?.add(
      to: &rows, numbers: [0, 1], workers: compute.workers)
    let masked = try? keys.maskInputs(rows)
    precondition(masked?.shape == [2, shape.input.width], "rows that cannot be masked")
    let outputs = try? keys.unmaskOutputs(Tensor(repeating: 0.5, shape: [2, shape.outputs]))
    precondition(outputs?.shape == [2, shape.outputs], "answers that cannot be unmasked")
  }

  static let seeds: [Data] = [
    document(
      #""classes":["a","b"],"columns":["x","y","z"],"features":3,"input":{"decidedBy":"strength","group":"orthogonal","homogeneous":{"features":3,"#
        + #""padding":1},"space":"input","width":5},"inputs":{"features":{"_0":"X"}},"isStandardized":true,"masking":{"exact":true,"noise":0.1,"#
        + #""padding":1,"strength":"rotation"}"#),
    document(
      #""features":0,"input":{"decidedBy":"strength","group":"permutation","space":"residual","width":4},"inputs":{"tokens":{"_0":{"ids":"t","#
        + #""mask":"m","types":"y"}}},"isStandardized":false,"masking":{"exact":true,"padding":0,"strength":"permutation"},"tokens":{"endTokens":"#
        + #"[1],"maximumTokens":4,"normEpsilon":1e-6,"paddingToken":0,"poolsLast":false,"positions":8,"requiresFirstToken":true,"#
        + #""requiresTrailingPadding":false,"shuffles":true,"types":2,"vocabulary":9}"#),
  ]

  private static func document(_ shape: String) -> Data {
    let key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    return Data(
      (#"{"version":1,"deployment":"0123456789abcdef0123456789abcdef","name":"ward","host":"tcp://127.0.0.1:5570","hostKey":""#
        + key + #"","owner":""# + key + #"","client":""# + key + #"","keyNumber":1,"shape":{"#
        + #""output":{"decidedBy":"loss","group":"orthogonal","space":"output","width":2},"outputs":2,"task":"classification","#
        + shape + "}}").utf8)
  }
}
