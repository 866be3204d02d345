/// Whether the trainer may have the plaintext of a pretrained model. With it, keys can be worked out from the masked weights.
package enum BaseModelVisibility: String, Sendable, Codable, CaseIterable {
  case `public`
  case `private`
}
