"""The tensors of TRL's scored batches by name."""

from __future__ import annotations

from riskpo.engines.dynamic_sampling import Padding

# What TRL's forward pass needs of a scored batch, besides ids and masks, when the model reads images.
FORWARD_KEYS = (
    "pixel_values",
    "image_grid_thw",
    "num_images",
    "pixel_attention_mask",
    "spatial_shapes",
    "num_tiles",
    "image_sizes",
    "token_type_ids",
    "mm_token_type_ids",
    "image_position_ids",
)

# How dynamic sampling makes the tensors of a scored batch wider, other than token ids. TRL's remaining ones belong to
# images and tools, which it refuses.
PADDINGS: dict[str, Padding] = {
    "prompt_mask": ("left", 0),
    "completion_mask": ("right", 0),
    "old_per_token_logps": ("right", 0.0),
    "ref_per_token_logps": ("right", 0.0),
    "sampling_per_token_logps": ("right", 0.0),
    "importance_sampling_ratio": ("right", 1.0),  # one number a row in the sequence modes: never widened
    "advantages": None,
}
