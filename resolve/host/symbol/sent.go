package symbol

// isSent reports network drivers that free what they have sent as if they had
// dropped it, by dev_kfree_skb_any or dev_kfree_skb_irq on TX completion. Others
// use dev_consume_skb_any or napi_consume_skb, as all should.
//
// The list is of drivers/net in 5.10.262, 6.1.192 and 6.12.117; where the compiler
// inlines such a function into the driver's poll, which drops packets as well,
// it is not told apart.
func isSent(symbol string) bool {
	switch symbol {
	// Whatever was freed with interrupts off, later: xen-netfront's sent
	// packets in every version (dev_kfree_skb_irq in xennet_tx_buf_gc).
	case "net_tx_action":
		return true
	case "vmxnet3_unmap_pkt", "vmxnet3_tq_tx_complete", // VMware
		"e1000_unmap_and_free_tx_resource",  // QEMU, VirtualBox; 5.10
		"bnx2_tx_int",                       // Broadcom
		"bnx2x_free_tx_pkt", "bnx2x_tx_int", //
		"bnxt_tx_int",                     // to 6.1
		"qede_free_tx_pkt", "qede_tx_int", // QLogic
		"enic_free_wq_buf", "enic_wq_free_buf", // Cisco
		"aq_ring_tx_clean",                                // Aquantia, to 6.1
		"e100_tx_clean", "pcnet32_tx", "sky2_tx_complete", //
		"nv_tx_done", "nv_tx_done_optimized", // Nvidia
		"alx_free_txbuf", "alx_clean_tx_irq", // Atheros
		"mvneta_txq_bufs_free", "mvpp2_txq_bufs_free", // Marvell
		"fec_enet_tx_queue",                                // Freescale, to 6.1
		"macb_tx_unmap", "mtk_tx_unmap", "cpsw_tx_handler", // Cadence, MediaTek, TI
		"axienet_tx_poll", "ravb_tx_free", "sh_eth_tx_free": // Xilinx, Renesas
		return true
	}
	return false
}
