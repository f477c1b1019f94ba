"""Names in state dicts that say where they come from."""

from __future__ import annotations

__all__ = ["ADAPTER", "ADDED_BESIDE", "COUNTED", "NOT_SAVED_NOW", "PACKED", "WHOLE", "WRAPPER"]

NOT_SAVED_NOW = (
    "position_ids", "num_batches_tracked", "attn.bias", "attn.masked_bias", "rotary_emb.inv_freq", "inv_freq",
    "embeddings.token_type_ids", "relative_position_index", "attn_mask", "rotary_pos_emb.inv_freq", "scaling_layer.shift",
    "scaling_layer.scale", "embed_positions.weights", "embed_positions._float_tensor", "decoder.version", "encoder.version",
    "data_preprocessor.mean", "data_preprocessor.std",
)  # fmt: skip
"""Buffers that libraries began or ceased to save (transformers 4.31 and others; ``num_batches_tracked``: torch 0.4.1; fairseq's
``version``; torchmetrics' LPIPS)."""
ADDED_BESIDE = ("decoder.bias", "predictions.bias", "lm_head.bias", "final_logits_bias")
"""Ties that the same versions began to list."""
PACKED = (
    "absmax", "quant_map", "quant_state", "nested_absmax", "qweight", "qzeros", "g_idx", "weight_scale", "scales",
    "weight_packed", "_packed_params", "zero_point", "SCB", "weight_format", "activation_post_process",
)  # fmt: skip
COUNTED = ("total_ops", "total_params")
ADAPTER = ("lora_", "base_layer", "modules_to_save")
WHOLE = frozenset(
    {
        "state_dict", "model", "optimizer", "epoch", "model_state_dict", "net", "args", "lr_scheduler", "optimizer_state_dict",
        "scheduler", "config", "state", "param_groups", "best_acc", "step", "global_step", "hyper_parameters", "module", "ema",
        "params", "params_ema", "state_dict_ema", "generator", "weights", "network", "model_state", "student", "teacher",
    }
)  # fmt: skip
"""What a training checkpoint's entries are called."""
WRAPPER = {
    "module.": " (DataParallel or DistributedDataParallel adds it)",
    "_orig_mod.": " (torch.compile adds it)",
    "model.": " (a LightningModule or another wrapper holds the model as `model`)",
    "base_model.model.": " (PEFT adds it)",
    "_forward_module.": " (Lightning Fabric adds it)",
    "_fsdp_wrapped_module.": " (FSDP adds it)",
}
"""Prefixes of names -> who adds them, in brackets."""
