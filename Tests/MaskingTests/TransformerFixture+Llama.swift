import Models
import Masking

extension TransformerFixture {
  /// 4 query heads in 2 groups; an output for every token.
  static let llama = llama("Llama", groups: 2, adapts: false)
  /// Every head has keys and values of its own.
  static let llamaUngrouped = llama("Llama without groups", groups: 4, adapts: false)
  /// Low-rank adapters on every linear layer of a block.
  static let llamaAdapted = llama("Llama with LoRA", groups: 2, adapts: true)

  private static let heads = 4
  private static let rank = 3
  private static let frequencies = [0.9, 0.13]
  private static let scale = 0.7

  /// Two pre-norm decoder blocks without gains, rotary positions, and a gated MLP.
  private static func llama(_ title: String, groups: Int, adapts: Bool) -> TransformerFixture {
    let residual = Space(id: SpaceID("residual"), width: width)
    let output = Space(id: SpaceID("output"), width: outputs)
    var spaces = [residual]
    var layers: [Rules] = []
    func adapted(_ name: String, _ reads: Space, _ writes: Space) {
      layers.append(linear(name, reads, writes, bias: false))
      guard adapts else { return }
      let between = Space(id: SpaceID("\(name).rank"), width: rank)
      spaces.append(between)
      layers += [
        linear("\(name).lora_A", reads, between, bias: false), linear("\(name).lora_B", between, writes, bias: false),
      ]
    }
    for block in 0..<2 {
      func space(_ part: String, _ rotation: String, _ heads: Int) -> Space {
        Space(
          id: SpaceID("layers.\(block).\(part)"), width: heads * headWidth,
          form: .heads(
            HeadsForm(
              attention: "layers.\(block).attention", rotation: rotation, heads: heads, groups: groups,
              headWidth: headWidth, isRotary: rotation == "qk")))
      }
      let name = "model.layers.\(block)"
      let (query, key) = (space("query", "qk", heads), space("key", "qk", groups))
      let (value, context) = (space("value", "vo", groups), space("context", "vo", heads))
      let gate = Space(id: SpaceID("layers.\(block).gate"), width: hidden)
      let up = Space(id: SpaceID("layers.\(block).up"), width: hidden, form: .sameOrder(as: gate.id.name))
      spaces += [query, key, value, context, gate, up]
      adapted("\(name).self_attn.q_proj", residual, query)
      adapted("\(name).self_attn.k_proj", residual, key)
      adapted("\(name).self_attn.v_proj", residual, value)
      adapted("\(name).self_attn.o_proj", context, residual)
      adapted("\(name).mlp.gate_proj", residual, gate)
      adapted("\(name).mlp.up_proj", residual, up)
      adapted("\(name).mlp.down_proj", up, residual)
      layers += [
        constraint(gate, .permutation, "silu after \(name).mlp.gate_proj"),
        constraint(up, .signedPermutation, "gated product of layers.\(block)"),
      ]
    }
    layers.append(linear("lm_head", residual, output, bias: false))
    return TransformerFixture(title, spaces + [output], layers) { tape, parameters, tokens, _ in
      func dense(_ name: String, _ x: Node) -> Node {
        let whole = tape.linear(x, parameters.node("\(name).weight"))
        guard let down = parameters.nodes["\(name).lora_A.weight"], let up = parameters.nodes["\(name).lora_B.weight"]
        else {
          return whole
        }
        return tape.sum(whole, tape.scaled(tape.linear(tape.linear(x, down), up), scale))
      }
      var x = tokens
      for block in 0..<2 {
        let name = "model.layers.\(block)"
        let read = tape.normalized(x, isCentred: false)
        let context = attention(
          tape, dense("\(name).self_attn.q_proj", read), dense("\(name).self_attn.k_proj", read),
          dense("\(name).self_attn.v_proj", read), heads: heads, groups: groups, frequencies: frequencies)
        x = tape.sum(x, dense("\(name).self_attn.o_proj", context))
        let inner = tape.normalized(x, isCentred: false)
        let gated = tape.gated(
          apply(.silu, tape, dense("\(name).mlp.gate_proj", inner)), dense("\(name).mlp.up_proj", inner))
        x = tape.sum(x, dense("\(name).mlp.down_proj", gated))
      }
      return dense("lm_head", tape.normalized(x, isCentred: false))
    }
  }
}
